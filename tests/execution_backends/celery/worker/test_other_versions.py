"""What a worker leaves to workers of another version, and for how long it leaves their queue alone."""

import pytest
from redis import ConnectionError as RedisConnectionError

from distribute_challenge.core import clock
from distribute_challenge.core.messages import PYTHON, Batch
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.worker.other_versions import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    OtherVersions,
)
from distribute_challenge.version import __version__

HERE = Batch("b-1", "f", "n", [b""])
OLDER = Batch("b-2", "f", "n", [b""], python="2.7")
FITTING = WorkerPresence("old", 1, ["q"], python="2.7.18")


@pytest.mark.parametrize(
    ("present", "leaves"),
    [
        ([FITTING], True),
        ([], False),
        ([WorkerPresence("own", 1, ["q"])], False),
        ([WorkerPresence("elsewhere", 1, ["another"], python="2.7.18")], False),
        ([WorkerPresence("newer", 1, ["q"], python="2.7.18", library="99.0.0")], False),
    ],
)
def test_a_call_of_another_version_is_left_to_a_worker_that_can_run_it(
    present: list[WorkerPresence], leaves: bool
) -> None:
    versions = OtherVersions(lambda: present)
    assert versions.are_to_run(OLDER, "q") is leaves
    assert versions.left_alone() == ({"q"} if leaves else set())


def test_a_call_of_an_unreadable_version_is_left_to_other_releases() -> None:
    batch = Batch.unread(b"DCF9 something of the future", "b-3", "home")
    assert not batch.runs_here()
    assert batch.runs_on("3.11.4", "99.0.0")
    assert not batch.runs_on("3.11.4", __version__)
    assert not OtherVersions(lambda: [FITTING]).are_to_run(batch, "q")


def test_pauses_grow_up_to_a_limit_and_end_with_a_call_that_runs_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other queues have none."""
    now = 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    versions = OtherVersions(lambda: [FITTING])
    pause = FIRST_PAUSE
    for _ in range(6):
        assert versions.are_to_run(OLDER, "q")
        now += pause - 0.01
        assert versions.left_alone() == {"q"}
        now += 0.02
        assert versions.left_alone() == set()
        pause = min(2 * pause, LONGEST_PAUSE)
    assert pause == LONGEST_PAUSE
    assert not versions.are_to_run(HERE, "q")
    assert versions.are_to_run(OLDER, "q")
    now += FIRST_PAUSE + 0.01
    assert versions.left_alone() == set()


def test_a_call_of_another_version_is_left_to_others_while_redis_is_away() -> None:
    def present() -> list[WorkerPresence]:
        raise RedisConnectionError

    versions = OtherVersions(present)
    assert versions.are_to_run(OLDER, "q")
    assert not versions.are_to_run(HERE, "q")


def test_versions_are_read_from_a_frame_of_another_format() -> None:
    """This works as long as its header lies where it does now."""
    frame = b"DCF9" + Batch("b", "f", "n", [b""], python="9.9", library="99.0").encode()[4:]
    batch = Batch.unread(frame, "b", "home")
    assert (batch.python, batch.library) == ("9.9", "99.0")
    assert batch.runs_on("9.9.1", "99.0.3")
    assert not batch.runs_on(f"{PYTHON}.1", "99.0.3")
