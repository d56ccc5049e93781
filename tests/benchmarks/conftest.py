"""One rig for several tests, each of which leaves it whole."""

from collections.abc import Iterator

import pytest

from benchmarks.rig.rig import Rig
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend


@pytest.fixture(autouse=True, scope="module")
def unmeasured(unmeasured_programs: None) -> None:
    """The package is measured by its own tests."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rig"), workers=1) as rig, rig.as_client():
        yield rig


@pytest.fixture(scope="module")
def backend(rig: Rig) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(rig.client_url) as backend:
        yield backend
