"""The simplest engine."""

import os
import threading

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.local import LocalExecutionBackend


def test_a_call_runs_in_this_thread_while_it_is_submitted() -> None:
    """A debugger stops in it."""
    future = compute_this(lambda: (os.getpid(), threading.get_ident()))().submit(
        LocalExecutionBackend()
    )
    assert future.done()
    assert future.result() == (os.getpid(), threading.get_ident())


def test_the_timeline_of_a_call_names_the_process() -> None:
    """It names this process."""
    future = compute_this(lambda: 1)().submit("local")
    assert future.timeline is not None
    assert future.timeline.worker.startswith("local@")
    assert (
        future.timeline.created
        <= future.timeline.started
        <= future.timeline.finished
        <= future.timeline.received
    )


def test_arguments_and_results_are_copies_as_on_a_cluster() -> None:
    """What would go wrong there goes wrong here."""
    items = [1]

    def change(given: list[int]) -> list[int]:
        given.append(2)
        return given

    result = compute_this(change)(items).compute("local")
    assert (items, result) == ([1], [1, 2])


def test_ctrl_c_reaches_the_caller() -> None:
    """It is not the call's failure."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_this(interrupt)().submit("local")
