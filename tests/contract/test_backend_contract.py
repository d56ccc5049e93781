"""What every engine promises of a call, run over each of them."""

import asyncio
import concurrent.futures
import functools
import pickle
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from distribute_challenge import ExecutionBackend, Future, compute_this
from distribute_challenge.errors import CallCancelledError, ResultTimeoutError, SerialisationError
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from tests.calls import wait_for
from tests.contract.engines import ENGINES, RUN_ON_SUBMIT, TIMEOUT
from tests.contract.values import Account, Unloadable, add, double, fail


@pytest.mark.slow
def test_a_call_gives_its_value(backend: ExecutionBackend) -> None:
    assert add(1, y=2).compute(backend) == 3
    assert add(1).compute(backend, timeout=TIMEOUT) == 2


def test_a_call_raises_what_the_function_raised_with_its_frames(
    engine: tuple[str, ExecutionBackend],
) -> None:
    name, backend = engine
    with pytest.raises(ValueError, match="no luck") as caught:
        fail("no luck").compute(backend)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"
    error = fail("no luck").submit(backend).exception()
    assert error is not None
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames[-1] == "fail"
    if name != "only-run":  # Which raises through its own `run`.
        assert frames == ["fail"]


@pytest.mark.slow
def test_submit_gives_a_future_for_the_standard_library_s_tools(backend: ExecutionBackend) -> None:
    futures = [add(number).submit(backend) for number in range(5)]
    assert all(isinstance(future, Future) for future in futures)
    done, waiting = concurrent.futures.wait(futures, timeout=TIMEOUT)
    assert (done, waiting) == (set(futures), set())
    assert sorted(
        future.result() for future in concurrent.futures.as_completed(futures, TIMEOUT)
    ) == [1, 2, 3, 4, 5]


def test_a_callback_may_make_calls_and_wait_for_them(
    engine: tuple[str, ExecutionBackend],
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    """It may end in any way, and holds up no other call."""
    name, backend = engine
    door = tmp_path / "door"
    seen: list[Any] = []

    def leave(_: object) -> None:
        raise SystemExit(3)

    def call_again(done: Future[str]) -> None:
        seen.append(double(2).submit(backend).result(TIMEOUT))
        seen.append(list(double.map([1, 2], backend=backend)))
        seen.append(double(3).compute(backend, timeout=TIMEOUT))

    if name in RUN_ON_SUBMIT:
        door.touch()
    future = wait_for(str(door)).submit(backend)
    if name not in RUN_ON_SUBMIT:
        future.add_done_callback(leave)
    future.add_done_callback(call_again)
    other = double(5).submit(backend)
    door.touch()
    assert other.result(TIMEOUT) == 10
    eventually(lambda: len(seen) == 3)
    assert seen == [4, [2, 4], 6]


def test_a_future_of_another_library_is_refused_as_an_argument(backend: ExecutionBackend) -> None:
    """`submit` itself says so, also for a future inside a container."""
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    for argument in (future, [{"a": future}]):
        with pytest.raises(
            SerialisationError, match=r"argument 1 of double .*future.*give the value.*result\(\)"
        ):
            double(argument).submit(backend)


def test_keyword_arguments_may_have_any_name(backend: ExecutionBackend) -> None:
    """The library takes none of them."""

    @compute_this
    def names(self: int, /, **kwargs: int) -> dict[str, int]:
        return {"first": self, **kwargs}

    given = dict.fromkeys(
        ["self", "args", "kwargs", "function", "func", "instance", "name", "options", "backend"], 2
    )
    assert names(1, **given).compute(backend) == {"first": 1, **given}
    assert names(1, **given).submit(backend).result(TIMEOUT) == names.local(1, **given)


def test_a_call_can_be_awaited(backend: ExecutionBackend) -> None:
    async def main() -> list[Any]:
        call = compute_this(add.__wrapped__, backend=backend)
        several = await asyncio.gather(*(call(number) for number in range(4)))
        wrapped = await asyncio.wrap_future(call(10).submit())
        with pytest.raises(ValueError, match="awaited"):
            await compute_this(fail.__wrapped__, backend=backend)("awaited")
        return [await call(5), *several, wrapped]

    assert asyncio.run(main()) == [6, 1, 2, 3, 4, 11]


def test_waiting_ends_after_its_timeout_and_the_call_goes_on(
    background: ExecutionBackend, tmp_path: Path
) -> None:
    door = str(tmp_path / "door")
    future = wait_for(door).submit(background)
    try:
        with pytest.raises(ResultTimeoutError):
            future.result(timeout=0.02)
        with pytest.raises(ResultTimeoutError):
            wait_for(door).compute(background, timeout=0.02)
    finally:
        Path(door).touch()
    assert future.result(TIMEOUT) == "done"


def test_an_async_function_is_a_function(backend: ExecutionBackend) -> None:
    @compute_this
    async def double(x: int) -> int:
        await asyncio.sleep(0)
        if x < 0:
            raise ValueError("negative")
        return 2 * x

    assert double(2).compute(backend) == 4
    assert list(double.map([1, 2, 3], backend=backend)) == [2, 4, 6]
    with pytest.raises(ValueError, match="negative"):
        double(-1).compute(backend)


def test_methods_can_be_called(backend: ExecutionBackend) -> None:
    account = Account(10)
    assert account.plus(1).compute(backend) == 11
    assert list(account.plus.map([1, 2], backend=backend)) == [11, 12]
    assert Account.free(1).compute(backend) == account.free(1).compute(backend) == 1
    assert Account.make(5).compute(backend).total == 5
    assert compute_this(account.plain)(2).compute(backend) == 20


def test_partials_callable_objects_lambdas_and_closures_can_be_called(
    backend: ExecutionBackend,
) -> None:
    captured = [1, 2]
    assert compute_this(functools.partial(pow, 2))(10).compute(backend) == 1024
    assert compute_this(Account(10))(3).compute(backend) == 7
    assert compute_this(lambda x: x + sum(captured))(1).compute(backend) == 4
    assert compute_this(len)("abc").compute(backend) == 3
    assert compute_this(Account)(3).compute(backend).total == 3


def test_a_call_inside_a_call_runs_in_place(backend: ExecutionBackend) -> None:
    @compute_this
    def outer(n: int) -> list[int]:
        return [
            *add.map(range(n)),
            add(n).compute(),
            add(n).compute(backend="processes"),
            add(n).submit().result(),
        ]

    assert outer(2).compute(backend) == [1, 2, 3, 3, 3]


def test_changing_an_argument_after_submit_does_not_affect_the_call(
    backend: ExecutionBackend,
) -> None:
    items = [1, 2, 3]
    future = compute_this(sum)(items).submit(backend)
    items.clear()
    assert future.result(TIMEOUT) == 6


def test_an_argument_that_cannot_be_pickled_is_named(backend: ExecutionBackend) -> None:
    with pytest.raises(SerialisationError, match=r"argument 1 of add\['key'\] \(a lock\)"):
        add({"key": threading.Lock()}).compute(backend)  # type: ignore[arg-type]
    with pytest.raises(SerialisationError, match=r"argument 'y' of add"):
        add(1, y=threading.Lock()).submit(backend)  # type: ignore[arg-type]


def test_an_argument_that_cannot_be_unpickled_fails_its_call(backend: ExecutionBackend) -> None:
    with pytest.raises(OSError, match="not to be had"):
        compute_this(str)(Unloadable()).submit(backend).result(TIMEOUT)
    results = list(
        compute_this(str).map([1, Unloadable()], on_error="return", batch_size=1, backend=backend)
    )
    assert results[0] == "1"
    assert isinstance(results[1], OSError)


def test_run_takes_any_pickled_callable(backend: ExecutionBackend) -> None:
    assert backend.run(pickle.dumps(pow), (2, 3), {}) == 8
    assert backend.run(cloudpickle.dumps(lambda x, y: x + y), (2,), {"y": 3}) == 5


@pytest.mark.slow
def test_several_threads_share_a_backend(backend: ExecutionBackend) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        totals = pool.map(
            lambda start: sum(add.map(range(start, start + 50), backend=backend)), range(0, 200, 50)
        )
    assert sum(totals) == sum(range(1, 201))


@pytest.mark.slow
def test_calls_still_waiting_when_a_backend_is_closed_are_over(
    engine: tuple[str, ExecutionBackend],
    tmp_path: Path,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    name, _ = engine
    if name in RUN_ON_SUBMIT:
        pytest.skip("runs each call while it is submitted")
    door = str(tmp_path / "door")
    backend = ENGINES[name]()
    first = wait_for(door).submit(backend)
    eventually(Path(door + ".begun").exists)
    others = [wait_for(door).submit(backend) for _ in range(12)]
    try:
        backend.close()
        backend.close()
        assert others[-1].cancelled()
    finally:
        Path(door).touch()
    assert concurrent.futures.wait([first, *others], timeout=TIMEOUT).not_done == set()


def test_a_pool_that_was_closed_takes_no_calls() -> None:
    """It says so, and does not quietly start again; the Celery engine connects anew."""
    for pool in (ThreadsExecutionBackend(1), ProcessesExecutionBackend(1)):
        pool.close()
        with pytest.raises(CallCancelledError, match="closed"):
            add(1).submit(pool)
