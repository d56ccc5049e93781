"""The one place where user code runs."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.core import interrupts
from distribute_challenge.core.failures import Failures
from distribute_challenge.core.messages import Batch, FunctionPayload, Reply, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.references import Reference
from distribute_challenge.errors import (
    CallTimeoutError,
    RemoteError,
    SerialisationError,
    ValueMissingError,
)
from distribute_challenge.execution import attempts, function_cache, watchdog
from distribute_challenge.execution import run as execution
from distribute_challenge.execution.batch_run import BatchRun
from distribute_challenge.execution.callables import callable_bytes
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.interruption import Interruption
from distribute_challenge.execution.run import execute, inside_call
from distribute_challenge.execution.time_limit import OverdueError
from distribute_challenge.serialisation import PortableFunction, dumps, pack_plain, unpack_function
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.elsewhere import Client
from tests.processes import wait_until


def payload_of(function: Callable[..., Any], *retry_on: type[BaseException]) -> FunctionPayload:
    return PortableFunction(function, function.__name__, retry_on).payload()


def frames(
    function: Callable[..., Any],
    arguments: list[Any],
    *retry_on: type[BaseException],
    **options: Any,
) -> Iterator[bytes]:
    """A run of one batch that has not begun."""
    payload = payload_of(function, *retry_on)
    blobs = [dumps(item, "arguments").data for item in arguments]
    frame = Batch("b1", payload.digest, payload.name, blobs, **options).encode()
    return execute(frame, FunctionCache({payload.digest: payload.payload}.get), "w")


def replies(
    function: Callable[..., Any],
    arguments: list[Any],
    *retry_on: type[BaseException],
    **options: Any,
) -> list[Reply]:
    """What a worker answers to one batch."""
    return [Reply.decode(frame) for frame in frames(function, arguments, *retry_on, **options)]


def outcomes(
    function: Callable[..., Any],
    arguments: list[Any],
    *retry_on: type[BaseException],
    **options: Any,
) -> list[Any]:
    return [
        outcome
        for reply in replies(function, arguments, *retry_on, **options)
        for outcome in decode_outcomes(reply)
    ]


@pytest.fixture(autouse=True)
def one_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes of fast calls travel together, also where a busy machine makes them slow."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", 60.0)


def identity(x: Any) -> Any:
    return x


def invert(x: float) -> float:
    return 1 / x


def one(x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (x,), {}


def test_calls_of_a_batch_run_one_after_the_other() -> None:
    """Each has one outcome, and fast ones share one reply."""
    (reply,) = replies(identity, [one(number) for number in range(10)])
    assert decode_outcomes(reply) == list(range(10))
    assert (reply.batch, reply.worker, reply.first, reply.ended) == ("b1", "w", 0, True)
    assert len(reply.finishes) == 10
    assert reply.started <= reply.finishes[0] <= reply.finishes[-1]


def test_a_failure_stands_in_the_place_of_its_value() -> None:
    """The others are not harmed."""
    first, second, third = outcomes(invert, [one(1), one(0), one(2)])
    assert (first, third) == (1.0, 0.5)
    assert isinstance(second, Failure)
    assert isinstance(second.error, ZeroDivisionError)


def test_arguments_that_cannot_be_unpickled_fail_their_own_call() -> None:
    """The error has the reason."""
    payload = payload_of(identity)
    frame = Batch("b1", payload.digest, "f", [b"nonsense", pickle.dumps(one(1))]).encode()
    (reply,) = map(
        Reply.decode, execute(frame, FunctionCache({payload.digest: payload.payload}.get), "w")
    )
    first, second = decode_outcomes(reply)
    assert isinstance(first, Failure)
    assert second == 1


class Missing:
    """Cannot be loaded."""

    def __init__(self, kind: type[Exception]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return _miss, (self.kind,)


def _miss(kind: type[Exception]) -> None:
    raise kind("not here")


@pytest.mark.parametrize(("kind", "hint"), [(ModuleNotFoundError, True), (ValueError, False)])
def test_the_error_of_an_argument_says_that_it_is_one(kind: type[Exception], hint: bool) -> None:
    """The error says what to do if a package is missing. It knows only the function's name."""
    (failed,) = outcomes(identity, [one(Missing(kind))])
    (note,) = failed.error.__notes__
    assert note.startswith("An argument of identity could not be loaded on the worker w.")
    assert ("PACKAGES" in note) is hint


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


def test_what_has_gone_wrong_is_noted_for_the_engine() -> None:
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


def test_a_chunk_s_arguments_that_cannot_be_unpickled_fail_all_its_calls() -> None:
    """The worker cannot tell them apart."""
    payload = payload_of(identity)
    frame = Batch("b1", payload.digest, "f", [b"nonsense"], chunk=3).encode()
    (reply,) = map(
        Reply.decode, execute(frame, FunctionCache({payload.digest: payload.payload}.get), "w")
    )
    assert [type(outcome) for outcome in decode_outcomes(reply)] == [Failure] * 3


def test_early_results_do_not_wait_for_slow_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go home while the rest runs."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", -1.0)
    several = replies(identity, [one(number) for number in range(3)])
    assert [(reply.first, reply.ended, decode_outcomes(reply)) for reply in several] == [
        (0, False, [0]),
        (1, False, [1]),
        (2, True, [2]),
    ]


def test_a_run_that_is_abandoned_may_be_closed_by_any_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The garbage collector may close it in a thread that knows nothing of the call."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", -1.0)
    abandoned = frames(identity, [one(number) for number in range(3)])
    copy_context().run(next, abandoned)
    abandoned.close()  # type: ignore[attr-defined] # a generator
    assert not inside_call()


def test_a_worker_gives_back_what_it_has_not_begun_in_time() -> None:
    """Others may have room; it did at least one."""
    assert outcomes(identity, [one(number) for number in range(3)], patience=-1.0) == [0]
    assert outcomes(identity, [[(0,), (1,), (2,)]], chunk=3, patience=-1.0) == [0]


class Ahead:
    """What a worker sends while a call runs; that call ends when it has been sent."""

    def __init__(self, door: Path) -> None:
        self.replies: list[Reply] = []
        self._door = door

    def __call__(self, frame: bytes) -> None:
        self.replies.append(Reply.decode(frame))
        self._door.touch()


def wait_at(number: int, door: str) -> Any:
    """The third call waits; the second is no plain value if there is a door named so."""
    if number == 2:
        Path(door + ".begun").touch()
        while not os.path.exists(door):
            pass
    return 1j if number == 1 and door.endswith("odd") else number


def set_clock(monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """Let the second of a batch be over as soon as the call that waits has begun, and not before."""

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return 2.0 if os.path.exists(door + ".begun") else 0.0

    for module in (execution, watchdog):
        monkeypatch.setattr(module, "time", Clock)


@pytest.mark.parametrize("in_chunk", [True, False])
@pytest.mark.parametrize("name", ["plain", "odd"])
def test_calls_behind_a_slow_one_are_given_back_while_it_runs(
    tmp_path: Path, in_chunk: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain outcomes go with them: another thread must not pickle what the call may be changing."""
    door = str(tmp_path / name)
    set_clock(monkeypatch, door)
    payload = payload_of(wait_at)
    calls = [(number, door) for number in range(6)]
    arguments: list[Any] = [calls] if in_chunk else [(args, {}) for args in calls]
    blobs = [dumps(item, "arguments").data for item in arguments]
    batch = Batch(
        "b1", payload.digest, payload.name, blobs, chunk=6 if in_chunk else 0, patience=1.0
    )
    ahead, functions = Ahead(Path(door)), FunctionCache({payload.digest: payload.payload}.get)
    (last,) = map(Reply.decode, execute(batch.encode(), functions, "w", None, ahead))
    (first,) = ahead.replies
    assert (first.kept, first.ended, last.kept, last.ended) == (3, False, None, True)
    if name == "plain":
        assert (first.first, decode_outcomes(first), last.first, decode_outcomes(last)) == (
            0,
            [0, 1],
            2,
            [2],
        )
    else:
        assert (decode_outcomes(first), last.first, decode_outcomes(last)) == ([], 0, [0, 1j, 2])
    assert len(first.finishes) == (1 if in_chunk else len(decode_outcomes(first)))
    assert last.started <= last.finishes[-1]


def test_a_batch_that_is_over_is_freed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_failure_before_a_slow_call_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = tmp_path / "door"
    set_clock(monkeypatch, str(door))
    payload = payload_of(wait_at)
    blobs = [
        dumps((args, {}), "arguments").data for args in [(1, None), (2, str(door)), (3, str(door))]
    ]
    batch = Batch("b1", payload.digest, payload.name, blobs, patience=1.0)
    ahead, functions = Ahead(door), FunctionCache({payload.digest: payload.payload}.get)
    (last,) = map(Reply.decode, execute(batch.encode(), functions, "w", None, ahead))
    failure, value = decode_outcomes(last)
    assert isinstance(failure.error, AttributeError)
    assert value == 2
    assert ahead.replies[0].kept == 2


def test_a_slow_call_that_nothing_is_behind_gives_nothing_back(tmp_path: Path) -> None:
    door = tmp_path / "door"
    door.touch()
    payload = payload_of(wait_at)
    blobs = [dumps(((2, str(door)), {}), "arguments").data]
    batch = Batch("b1", payload.digest, payload.name, blobs, patience=-1.0)
    functions = FunctionCache({payload.digest: payload.payload}.get)
    (last,) = map(Reply.decode, execute(batch.encode(), functions, "w", None, Ahead(door)))
    assert decode_outcomes(last) == [2]


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


def test_only_exceptions_worth_it_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_missing_function_is_asked_for() -> None:
    """The client sends it again."""
    (frame,) = execute(
        Batch("b1", "unknown", "f", [b""]).encode(), FunctionCache(lambda digest: None), "w"
    )
    problem = Reply.decode(frame).problem
    assert problem is not None
    assert (problem.kind, problem.text) == ("function_missing", "unknown")


def test_a_batch_of_another_python_is_answered_and_not_run() -> None:
    """The answer has both versions."""
    frame = Batch("b1", "d", "f", [b""], python="2.7").encode()
    (reply,) = map(Reply.decode, execute(frame, FunctionCache(lambda digest: None), "w"))
    assert reply.problem is not None
    assert reply.problem.kind == "version"
    assert "2.7" in reply.problem.text


def test_a_function_that_cannot_be_loaded_fails_each_call_with_a_note() -> None:
    """What it imports may be missing."""
    cache = FunctionCache({"d": b"nonsense"}.get)
    (reply,) = map(Reply.decode, execute(Batch("b1", "d", "f", [b"", b""]).encode(), cache, "w7"))
    first, second = decode_outcomes(reply)
    assert "could not be loaded on the worker w7" in first.error.__notes__[0]
    assert type(second) is Failure
    assert len(reply.finishes) == 2


def test_plain_values_in_a_row_travel_together() -> None:
    """All others one by one."""
    values = [1, 2, identity, 3, threading.Lock, 4]
    (reply,) = replies(identity, [one(value) for value in values])
    assert decode_outcomes(reply) == values
    (reply,) = replies(identity, [one(value) for value in range(5)])
    assert [(section.kind, section.calls) for section in reply.sections] == [("values", 5)]


def make_lock(x: int) -> Any:
    return threading.Lock() if x == 1 else {x}


def test_a_result_that_cannot_be_pickled_is_its_own_call_s_failure() -> None:
    """Named by the function."""
    first, second, third = outcomes(make_lock, [one(0), one(1), one(2)])
    assert (first, third) == ({0}, {2})
    assert isinstance(second.error, SerialisationError)
    assert "the result of make_lock" in str(second.error)


class Unloadable:
    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise OSError("not here")


def test_a_result_that_cannot_be_unpickled_is_a_failure_with_a_note() -> None:
    """The call itself did succeed."""
    first, second = outcomes(lambda x: Unloadable() if x else x, [one(1), one(0)])
    assert isinstance(first.error, OSError)
    assert "The call succeeded on its worker" in first.error.__notes__[0]
    assert second == 0


def test_ctrl_c_in_the_client_s_own_process_is_not_the_call_s_failure() -> None:
    """It ends what the user wants to end; SystemExit ends its call alone."""

    def interrupt(x: type[BaseException]) -> None:
        raise x

    with pytest.raises(KeyboardInterrupt):
        outcomes(interrupt, [one(KeyboardInterrupt)])
    (outcome,) = outcomes(interrupt, [one(SystemExit)])
    assert isinstance(outcome.error, RemoteError)


def test_in_a_worker_ctrl_c_is_the_call_s_failure(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_code_knows_whether_it_is_inside_a_call() -> None:
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


def test_functions_of_one_project_have_its_modules_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They share them in memory. The cache of modules is bounded."""
    payloads = {
        name: payload_of(function).payload
        for name, function in {"a": identity, "b": invert}.items()
    }
    importer = Activations()
    cache = FunctionCache(payloads.get, importer)  # type: ignore[arg-type]
    for digest in "aba":
        cache.load(digest)
    first, second, third = importer.activated
    assert first
    assert first is second is third
    monkeypatch.setattr(function_cache, "_KEPT_MODULES", 0)
    payloads["c"] = payloads["a"]
    cache.load("c")
    assert importer.activated[-1] == first
    assert importer.activated[-1] is not first


class Activations:
    """Stands for an importer: the modules are here."""

    def __init__(self) -> None:
        self.activated: list[Any] = []

    def activate(self, modules: Any) -> None:
        self.activated.append(modules)


def test_a_cache_keeps_the_functions_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fetches the others again."""
    monkeypatch.setattr(function_cache, "_KEPT_FUNCTIONS", 2)
    payloads = {
        name: payload_of(function).payload
        for name, function in {"a": identity, "b": invert, "c": make_lock}.items()
    }
    fetched: list[str] = []

    def fetch(digest: str) -> bytes:
        fetched.append(digest)
        return payloads[digest]

    cache = FunctionCache(fetch)
    for digest in "abacab":
        cache.load(digest)
    assert fetched == ["a", "b", "c", "b"]


def test_a_cache_makes_a_function_s_modules_active_each_time() -> None:
    """Another function's may be, in between."""
    active: list[list[str]] = []

    class Recorder(ProjectImporter):
        def activate(self, modules: Any) -> None:
            active.append([module.name for module in modules])

    payload = payload_of(identity).payload
    names = [module.name for module in unpack_function(payload).modules]
    cache = FunctionCache({"a": payload, "b": payload_of(len).payload}.get, Recorder())
    for digest in "aba":
        cache.load(digest)
    assert active == [names, [], names]


@pytest.fixture
def function_file(project: Client) -> Path:
    """A file with a project function's bytes, for plain pickle."""
    project.write(helper="VALUE = 7\nclass Flaky(Exception): pass\nclass Count: n = 0")
    project.run("""
        import pathlib, helper
        from distribute_challenge.execution.callables import callable_bytes
        @compute_this(retries=2, retry_on=helper.Flaky, timeout=30)
        async def f(x):
            helper.Count.n += 1
            if helper.Count.n < 3:
                raise helper.Flaky
            inner = compute_this(lambda y: -y)
            return x + helper.VALUE, inner(x).compute(), helper.Count.n
        pathlib.Path("function.pickle").write_bytes(callable_bytes(f(1)._task()))
    """)
    return project.folder / "function.pickle"


@pytest.mark.slow
def test_callable_bytes_are_a_function_for_plain_pickle(function_file: Path) -> None:
    """They load in a process with only this library, keep options, and run inner calls in place."""
    program = (
        "import pickle, sys; f = pickle.load(open(sys.argv[1], 'rb')); print(f.__name__, f(3))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(function_file)],
        cwd=function_file.parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "f (10, -3, 3)\n", done.stderr


def test_callable_bytes_use_the_client_s_own_modules_in_its_own_process() -> None:
    """They are there already."""
    task = Task(payload_of(sees_module), b"", CallOptions(), 0.0)
    before = list(sys.meta_path)
    assert pickle.loads(callable_bytes(task))() is MARK
    assert sys.meta_path == before


MARK = object()


def sees_module() -> object:
    return MARK


class Gone:
    """Large values of which none is there."""

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        raise ValueMissingError([reference.key])

    def keep(self, buffer: memoryview, places: Sequence[str]) -> None:
        raise AssertionError


def test_outcomes_before_a_call_whose_value_is_missing_are_sent() -> None:
    """The client sends the rest again, with the value."""
    payload = payload_of(identity)
    missing = pack_plain(b"x" * 100_000, lambda buffer: Reference("key", len(buffer)))
    blobs = [dumps(one(1), "arguments").data, missing]
    functions = FunctionCache({payload.digest: payload.payload}.get)
    batch = Batch("b1", payload.digest, payload.name, blobs)
    first, last = map(Reply.decode, execute(batch.encode(), functions, "w", Gone()))
    assert decode_outcomes(first) == [1]
    assert not first.ended
    assert last.problem is not None
    assert last.problem.kind == "value_missing"
