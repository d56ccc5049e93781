"""Rigs for the fault suite, and a deadline for each of its tests.

``DISTRIBUTE_CHALLENGE_FAULTS=long`` runs each fault as often and for as long as docs/reliability.md
says; otherwise scaled down, so that the whole suite takes some minutes.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmarks.rig.rig import Rig
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

Make = Callable[..., tuple[Rig, CeleryExecutionBackend]]

DEADLINE = 150  # Seconds for a test that does not say otherwise with the mark `deadline`.


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.celery)


@pytest.fixture(autouse=True, scope="module")
def unmeasured(unmeasured_programs: None) -> None:
    """What these tests start does what programs of other tests have done, until it is killed."""


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs fails, and ends what it has started: this suite is about things that hang."""
    mark = request.node.get_closest_marker("deadline")
    seconds = mark.args[0] if mark is not None else DEADLINE

    def fail(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than its deadline of {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def make(tmp_path: Path, clean_environment: pytest.MonkeyPatch) -> Iterator[Make]:
    """Start a rig, with this process as its client; options as of `Rig`."""
    with ExitStack() as stack:

        def start(**options: Any) -> tuple[Rig, CeleryExecutionBackend]:
            rig = stack.enter_context(Rig(tmp_path / "rig", **options))
            stack.enter_context(rig.as_client())
            return rig, stack.enter_context(CeleryExecutionBackend(rig.client_url))

        yield start
