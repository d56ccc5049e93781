"""Looks at a cluster while it is asked to."""

import threading
from typing import Any

import pytest

from distribute_challenge.dashboard import watcher as module
from distribute_challenge.dashboard.watcher import Watcher
from distribute_challenge.errors import SystemFailureError
from tests.dashboard.snapshots import snapshot
from tests.processes import wait_until


class Looks:
    """Stands in for a `Collector`."""

    def __init__(self) -> None:
        self.count = 0
        self.error: SystemFailureError | None = None
        self.may_look = threading.Event()
        self.may_look.set()
        self.is_closed = False

    def look(self) -> Any:
        self.may_look.wait()
        self.count += 1
        if self.error is not None:
            raise self.error
        return snapshot(at=float(self.count))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.01)
    return Looks()


def test_the_watcher_looks_at_the_cluster_for_a_while_after_a_request(looks: Looks) -> None:
    watcher = Watcher(looks)  # type: ignore[arg-type]
    assert looks.count == 0
    assert watcher.snapshot(0.2).at >= 1
    with watcher._changed:
        watcher._until = 0.0
    wait_until(lambda: not watcher._thread.is_alive() or _sleeps(watcher))
    watcher.close()
    assert looks.is_closed


def _sleeps(watcher: Watcher) -> bool:
    """Whether the thread waits to be asked: it then waits on the condition, without a limit."""
    with watcher._changed:
        return bool(watcher._changed._waiters)  # type: ignore[attr-defined]


def test_an_error_is_raised_until_a_look_succeeds(looks: Looks) -> None:
    looks.error = SystemFailureError("gone")
    watcher = Watcher(looks)  # type: ignore[arg-type]
    with pytest.raises(SystemFailureError, match="gone"):
        watcher.snapshot(60)
    looks.error = None
    before = looks.count
    wait_until(lambda: looks.count > before + 1)
    assert watcher.snapshot(60).at > before
    watcher.close()


def test_a_look_that_takes_too_long_is_an_error(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_AT_MOST", 0.01)
    looks.may_look.clear()
    watcher = Watcher(looks)  # type: ignore[arg-type]
    with pytest.raises(SystemFailureError, match="too slowly"):
        watcher.snapshot(60)
    looks.may_look.set()
    watcher.close()
