"""The futures of an executor that are not done."""

import threading
from typing import Any

from distribute_challenge.core.futures import Future
from distribute_challenge.core.open_futures import OpenFutures
from tests.forks import ended, fork


def no_matter(*_: Any) -> None:
    pass


def test_the_functions_for_ended_futures_are_called_before_wait_returns() -> None:
    """First for each future, then once for all; the oldest is the first of those that are open."""
    said: list[Any] = []
    futures = OpenFutures(said.append, lambda: said.append("empty"))
    first, second = Future[int](), Future[int]()
    futures.add(first)
    futures.add(second)
    assert futures.all() == [first, second]
    waiting = threading.Thread(target=lambda: (futures.wait(), said.append("waited")))
    waiting.start()
    second.resolve(2)
    assert len(futures) == 1
    first.resolve(1)
    waiting.join(60)
    assert said == [second, first, "empty", "waited"]
    futures.wait()


def test_a_future_that_is_done_is_removed_at_once() -> None:
    futures = OpenFutures(no_matter, no_matter)
    done = Future[int]()
    done.resolve(1)
    futures.add(done)
    assert len(futures) == 0
    assert futures.all() == []


def test_a_child_of_a_fork_does_not_wait_for_what_its_parent_submitted() -> None:
    futures = OpenFutures(no_matter, no_matter)
    theirs = Future[int]()
    futures.add(theirs)

    def wait() -> bool:
        futures.wait()
        return True

    assert ended(fork(wait)) == 1
    theirs.resolve(1)
