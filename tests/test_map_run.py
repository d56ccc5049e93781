"""The results of maps, for threads and for coroutines; on an engine that tests drive by hand."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.chunk import Chunk
from distribute_challenge.errors import CallError, NeverRunWarning, ResultTimeoutError
from distribute_challenge.map_results import MapResults
from distribute_challenge.map_run import Completions
from tests.maps import ByHand, counting, double

TIMEOUT = 30  # Seconds after which a test would rather fail than wait.


class Forced(ByHand):
    """Notes how each chunk is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.forced: list[bool] = []

    def submit(self, task: Any) -> Any:
        future = super().submit(task)
        cancel = future.cancel

        def noted(force: bool = False) -> bool:
            self.forced.append(force)
            return cancel(force)

        future.cancel = noted  # type: ignore[method-assign]
        return future


def in_loop(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main(), TIMEOUT)

    asyncio.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - it is another thread's
        await asyncio.sleep(0.001)


async def first_of(backend: ByHand, results: MapResults[int]) -> int:
    """Ask for a result, and end the chunk that is sent first."""
    task = asyncio.ensure_future(anext(results))
    await until(lambda: backend.waiting)
    backend.finish()
    return await task


@pytest.mark.parametrize("leave", ["aclose", "drop", "break"])
def test_leaving_an_async_map_cancels_calls_that_have_not_begun(leave: str) -> None:
    backend, pulled = ByHand(), list[int]()

    async def finish_first() -> None:
        await until(lambda: backend.waiting)
        backend.finish()

    async def main() -> None:
        results = double.map(counting(pulled), batch_size=1, backend=backend)
        if leave == "break":
            task = asyncio.ensure_future(finish_first())
            async for value in results:
                assert value == 0
                break
            await task
        else:
            assert await first_of(backend, results) == 0
        futures = [future for _, future in backend.waiting]
        before = len(pulled)
        if leave == "aclose":
            await results.aclose()
            assert [value async for value in results] == []
        del results
        gc.collect()
        assert futures
        assert all(future.cancelled() for future in futures)
        assert len(pulled) == before

    in_loop(main)


def test_a_cancelled_task_stops_its_calls() -> None:
    """As Ctrl+C does, which `asyncio.run` turns into it."""
    backend = Forced()

    async def main() -> None:
        results = double.map([1, 2], batch_size=1, backend=backend)
        task = asyncio.ensure_future(anext(results))
        await until(lambda: len(backend.waiting) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [value async for value in results] == []

    in_loop(main)
    assert backend.forced == [True, True]


def test_cancelling_a_task_does_not_wait_for_the_thread_that_reads_items() -> None:
    """The loop does not wait for the thread that reads them."""
    backend, reads, goes_on = Forced(), threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield 1
        reads.set()
        assert goes_on.wait(TIMEOUT)
        yield 2

    async def main() -> None:
        task = asyncio.ensure_future(anext(double.map(source(), batch_size=1, backend=backend)))
        await until(reads.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not backend.waiting[0][1].cancelled()
        goes_on.set()
        await until(lambda: all(future.cancelled() for _, future in backend.waiting))

    in_loop(main)
    assert set(backend.forced) == {True}


def test_a_map_that_is_closed_before_its_thread_runs_reads_nothing() -> None:
    pulled: list[int] = []

    async def main() -> None:
        results = double.map(counting(pulled), backend=ByHand())
        results._run.close()
        assert results._run._advance() is None
        assert await anext(results, None) is None

    in_loop(main)
    assert pulled == []


def test_a_timeout_counts_from_the_first_result() -> None:
    backend = ByHand()

    async def main() -> None:
        results = double.map([1, 2], batch_size=1, timeout=0.2, backend=backend)
        with pytest.raises(ResultTimeoutError, match=r"within timeout=0.2 s, counted from when"):
            await anext(results)
        assert await anext(results, "end") == "end"

    in_loop(main)
    assert all(future.cancelled() for _, future in backend.waiting)


def test_an_exception_ends_the_map() -> None:
    """It is raised once, and nothing comes after it."""

    async def main() -> None:
        results = compute_this(lambda x: 1 / x).map([1, 0, 2], batch_size=3, backend="local")
        assert await anext(results) == 1
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        assert [value async for value in results] == []

    in_loop(main)


def test_an_exception_of_the_source_comes_after_the_results_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    async def main() -> None:
        results = double.map(source(), backend="local")
        assert await anext(results) == 2
        with pytest.raises(LookupError, match="no more"):
            await anext(results)

    in_loop(main)


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
def test_a_stop_iteration_of_a_call_is_raised_as_runtime_error(kind: type[Exception]) -> None:
    def stop(_: int) -> None:
        raise kind

    async def main() -> None:
        with pytest.raises(RuntimeError) as caught:
            [value async for value in compute_this(stop).map([1], backend="local")]
        assert isinstance(caught.value.__cause__, kind)

    in_loop(main)


def test_a_map_has_one_kind_of_loop() -> None:
    async def main() -> None:
        results = double.map([1, 2], backend="local", batch_size=1)
        assert await anext(results) == 2
        with pytest.raises(CallError, match="by `async for` already, and cannot be by `for`"):
            next(results)
        assert await anext(results) == 4
        results = double.map([1, 2], backend="local", batch_size=1)
        assert next(results) == 2
        with pytest.raises(CallError, match="by `for` already, and cannot be by `async for`"):
            await anext(results)
        assert next(results) == 4

    in_loop(main)


def test_a_map_has_one_task() -> None:
    backend = ByHand()

    async def main() -> None:
        results = double.map([1, 2], batch_size=1, backend=backend)
        task = asyncio.ensure_future(anext(results))
        await until(lambda: backend.waiting)
        with pytest.raises(CallError, match="waited for by another task"):
            await anext(results)
        backend.finish()
        assert await task == 2
        await results.aclose()

    in_loop(main)


def test_a_progress_bar_counts_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        assert [
            value async for value in double.map(range(9), progress=True, backend="local")
        ] == list(range(0, 18, 2))

    in_loop(main)
    assert "9/9" in capsys.readouterr().err


def test_an_async_map_that_is_never_iterated_gives_a_warning() -> None:
    async def main() -> None:
        def unused() -> AsyncIterator[int]:
            return aiter(double.map([1], backend="local"))

        with pytest.warns(NeverRunWarning, match="a map over double"):
            unused()

    in_loop(main)


def test_a_chunk_that_ends_after_the_loop_has_closed_is_kept() -> None:
    """The thread that ends it sees no error."""
    completions, chunk = Completions(), Chunk([], 0)

    async def main() -> None:
        waiting = asyncio.ensure_future(completions.wait(None))
        await until(lambda: completions._wake is not None)
        wakes.append(completions._wake)
        waiting.cancel()

    wakes: list[Any] = []
    in_loop(main)
    completions._wake = wakes[0]
    completions.put(chunk)
    assert list(completions.all()) == [chunk]
