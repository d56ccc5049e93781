"""The engines that scripts run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster

# `threads` runs calls as `local` does.
ENGINES = ["local", "processes", "celery"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One cluster for all scripts, as each would wait for its own."""
    with LocalCluster(workers=1) as cluster:
        yield cluster


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "celery":
        monkeypatch.setenv("CELERY_BROKER_URL", request.getfixturevalue("cluster").broker_url)
    return str(request.param)
