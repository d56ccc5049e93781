"""The one place where user code runs."""

import gc
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge.core import interrupts
from distribute_challenge.core.failures import Failures
from distribute_challenge.core.messages import Batch
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import CallTimeoutError, RemoteError
from distribute_challenge.execution import attempts
from distribute_challenge.execution import run as execution
from distribute_challenge.execution.batch_run import BatchRun
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.interruption import Interruption
from distribute_challenge.execution.run import execute, inside_call
from distribute_challenge.execution.time_limit import OverdueError
from distribute_challenge.serialisation import dumps
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.execution.batches import Missing, identity, invert, one, outcomes, payload_of, replies
from tests.processes import wait_until

pytestmark = pytest.mark.usefixtures("one_reply")


def test_calls_of_a_batch_run_one_after_the_other() -> None:
    """Each has one outcome, and fast ones share one reply."""
    (reply,) = replies(identity, [one(number) for number in range(10)])
    assert decode_outcomes(reply) == list(range(10))
    assert (reply.batch, reply.worker, reply.first, reply.ended) == ("b1", "w", 0, True)
    assert len(reply.finishes) == 10
    assert reply.started <= reply.finishes[0] <= reply.finishes[-1]


def test_a_failed_call_yields_a_failure_in_place_of_its_value() -> None:
    """The others are not harmed."""
    first, second, third = outcomes(invert, [one(1), one(0), one(2)])
    assert (first, third) == (1.0, 0.5)
    assert isinstance(second, Failure)
    assert isinstance(second.error, ZeroDivisionError)


def noted(
    function: Callable[..., Any], arguments: list[Any], most: int = 2, **options: Any
) -> Failures:
    payload, failures = payload_of(function), Failures(most)
    blobs = [dumps(item, "arguments").data for item in arguments]
    batch = Batch("b1", payload.digest, payload.name, blobs, **options)
    list(
        execute(batch, FunctionCache({payload.digest: payload.payload}.get), "w", failures=failures)
    )
    return failures


def test_failures_of_a_batch_are_counted_and_the_first_ones_kept() -> None:
    """The first of them with their calls, the others as a number; and nothing if nothing has."""
    failures = noted(invert, [one(number) for number in (1, 0, 0.0, 0, 2)])
    assert [call for _, call in failures.kept] == ["invert(0)", "invert(0.0)"]
    assert (failures.raised, failures.cancelled, failures.problem) == (3, 0, None)
    failures = noted(invert, [one(1)])
    assert (failures.raised, failures.kept) == (0, [])
    # One error for all of them is one.
    failures = noted(invert, [one(Missing(ValueError))], chunk=3)
    assert (failures.raised, [call for _, call in failures.kept]) == (3, ["invert"])
    failures = noted(invert, [one(1)], python="2.7")
    assert failures.problem is not None
    assert failures.problem.kind == "version"


def test_cancelled_calls_are_no_failures() -> None:
    payload, failures = payload_of(invert), Failures()
    blobs = [dumps(one(0), "arguments").data for _ in range(3)]
    batch = Batch("b1", payload.digest, payload.name, blobs)
    interruption = Interruption({0, 2}.__contains__, lambda number: None)
    cache = FunctionCache({payload.digest: payload.payload}.get)
    list(execute(batch, cache, "w", interruption=interruption, failures=failures))
    assert (failures.raised, failures.cancelled) == (1, 2)


def test_a_finished_batch_is_freed_without_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers would grow if it stayed until the garbage collector runs."""
    made: list[weakref.ref[BatchRun]] = []

    class Noted(BatchRun):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(weakref.ref(self))

    monkeypatch.setattr(execution, "BatchRun", Noted)
    payload = payload_of(identity)
    blobs = [dumps(one(number), "arguments").data for number in range(3)]
    gc.disable()
    try:
        for _ in execute(
            Batch("b1", payload.digest, payload.name, blobs),
            FunctionCache({payload.digest: payload.payload}.get),
            "w",
            send_ahead=print,
        ):
            pass
        wait_until(
            lambda: made[0]() is None, "the end of the batch"
        )  # The thread beside it may just have looked.
    finally:
        gc.enable()


def test_a_chunk_runs_its_calls_with_their_failures() -> None:
    """It runs them in order, as one message."""
    first, second, third = outcomes(invert, [[(1,), (0,), (2,)]], chunk=3)
    assert (first, type(second), third) == (1.0, Failure, 0.5)


def test_a_chunk_keeps_its_options() -> None:
    """Limit, retries and coroutines, call by call."""

    def spin(x: int) -> None:
        while x:
            pass

    async def double(x: int) -> int:
        return 2 * x

    for outcome in outcomes(spin, [[(1,), (1,)]], chunk=2, timeout=0.02):
        assert isinstance(outcome.error, CallTimeoutError)
    assert outcomes(double, [[(1,), (2,)]], chunk=2) == [2, 4]


def test_only_exceptions_named_by_retry_on_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried as often as allowed, with pauses that grow up to a bound."""
    pauses: list[float] = []
    monkeypatch.setattr(attempts.time, "sleep", pauses.append)
    monkeypatch.setattr(attempts.random, "uniform", lambda low, high: high)

    def fail(x: type[Exception]) -> None:
        raise x

    (outcome,) = outcomes(fail, [one(ValueError)], ValueError, retries=10)
    assert isinstance(outcome.error, ValueError)
    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert len(pauses) == 10
    assert pauses[-1] == attempts.LONGEST_PAUSE
    pauses.clear()
    outcomes(fail, [one(KeyError)], ValueError, retries=10)
    assert pauses == []


def test_plain_values_in_a_row_are_encoded_in_one_section() -> None:
    """All others one by one."""
    values = [1, 2, identity, 3, threading.Lock, 4]
    (reply,) = replies(identity, [one(value) for value in values])
    assert decode_outcomes(reply) == values
    (reply,) = replies(identity, [one(value) for value in range(5)])
    assert [(section.kind, section.calls) for section in reply.sections] == [("values", 5)]


def test_a_keyboard_interrupt_in_the_process_of_the_client_is_raised() -> None:
    """It ends what the user wants to end; SystemExit ends its call alone."""

    def interrupt(x: type[BaseException]) -> None:
        raise x

    with pytest.raises(KeyboardInterrupt):
        outcomes(interrupt, [one(KeyboardInterrupt)])
    (outcome,) = outcomes(interrupt, [one(SystemExit)])
    assert isinstance(outcome.error, RemoteError)


def test_a_keyboard_interrupt_in_a_worker_is_a_failure_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker goes on."""
    monkeypatch.setattr(interrupts, "_is_worker", True)

    def interrupt(x: int) -> None:
        raise KeyboardInterrupt

    (outcome,) = outcomes(interrupt, [one(1)])
    assert outcome.error.type_name == "builtins.KeyboardInterrupt"


def test_a_limit_that_strikes_before_the_coroutine_runs_leaves_no_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(*_: object) -> None:
        raise OverdueError

    async def double(x: int) -> int:
        return 2 * x

    monkeypatch.setattr(attempts, "completed", too_late)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (outcome,) = outcomes(double, [one(1)], timeout=60.0)
        gc.collect()
    assert isinstance(outcome.error, CallTimeoutError)
    assert not [each for each in caught if "never awaited" in str(each.message)]


def test_an_outer_call_s_limit_is_not_the_inner_call_s_failure() -> None:
    """It stops both."""

    def outer(x: int) -> Any:
        def inner(y: int) -> None:
            os.kill(os.getpid(), signal.SIGALRM)  # The outer call's time is over.
            while True:
                pass

        return outcomes(inner, [one(1)])

    (outcome,) = outcomes(outer, [one(1)], timeout=60.0)
    assert isinstance(outcome.error, CallTimeoutError)
    assert "outer ran longer" in str(outcome.error)


def test_inside_call_is_true_only_while_a_call_runs() -> None:
    """It knows in this thread until the call ends, also if the call is given up half way."""
    assert not inside_call()
    assert outcomes(lambda x: inside_call(), [one(1)]) == [True]
    assert not inside_call()


def test_a_worker_is_inside_a_call_in_all_its_threads() -> None:
    """It exists to run them."""
    program = """
import threading
from distribute_challenge.execution.run import become_worker, inside_call
before = inside_call()
become_worker()
seen = []
thread = threading.Thread(target=lambda: seen.append(inside_call()))
thread.start()
thread.join()
print(before, inside_call(), seen[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "False True True\n", done.stderr
