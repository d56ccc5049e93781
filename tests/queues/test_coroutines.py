"""`Queue` in coroutines: the event loop goes on, and a cancelled wait loses nothing."""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from distribute_challenge import Queue
from distribute_challenge.errors import SerialisationError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.queues import Full
from distribute_challenge.queues.in_thread import in_thread
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, wait_until
from tests.queues.waiting import is_waiting

pytestmark = pytest.mark.celery

Engine = CeleryExecutionBackend


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)


@pytest.mark.parametrize("ack", ["late", "early"])
def test_items_are_put_and_taken_while_the_loop_goes_on(
    backend: Engine, server: Server, ack: Any
) -> None:
    """More of them wait than an event loop has threads."""

    async def main() -> None:
        numbers: Queue[int] = Queue(ack=ack, backend=backend)
        taking = [asyncio.create_task(numbers.aget()) for _ in range(40)]
        await until(is_waiting(server, 40))
        for number in range(40):
            await numbers.aput(number)
        assert sorted(await asyncio.gather(*taking)) == list(range(40))
        if ack == "late":
            numbers.task_done(40)
        await asyncio.to_thread(numbers.join)

    asyncio.run(main())


def test_timeouts_raise_the_exceptions_of_the_standard_library(backend: Engine) -> None:
    async def main() -> None:
        numbers: Queue[int] = Queue(maxsize=1, backend=backend)
        with pytest.raises(queue.Empty):
            await numbers.aget(timeout=0.01)
        await numbers.aput(1)
        with pytest.raises(Full):
            await numbers.aput(2, timeout=0.01)
        with pytest.raises(ValueError, match="non-negative"):
            await numbers.aget(timeout=-1)

    asyncio.run(main())


def test_a_loop_over_a_queue_ends_when_it_is_shut_down(backend: Engine) -> None:
    async def main() -> list[int]:
        numbers: Queue[int] = Queue(backend=backend)
        numbers.put_many([1, 2, 3])
        numbers.shutdown()
        return [number async for number in numbers]

    assert asyncio.run(main()) == [1, 2, 3]


def test_an_item_that_cannot_be_loaded_is_an_error(backend: Engine) -> None:
    class Unloadable:
        def __reduce__(self) -> Any:
            return int, ("none",)

    items: Queue[Any] = Queue(backend=backend)
    items.put(Unloadable())
    with pytest.raises(SerialisationError):
        asyncio.run(items.aget())
    items.task_done()


def test_a_wait_that_is_cancelled_takes_nothing(backend: Engine, server: Server) -> None:
    """What comes later goes to another one that waits."""

    async def main() -> int:
        numbers: Queue[int] = Queue(backend=backend)
        first = asyncio.create_task(numbers.aget())
        await until(is_waiting(server, 1))
        second = asyncio.create_task(numbers.aget())
        await until(is_waiting(server, 2))
        first.cancel()
        await numbers.aput(1)
        return await asyncio.wait_for(second, PATIENCE)

    assert asyncio.run(main()) == 1


def test_an_item_that_comes_for_a_cancelled_wait_is_given_back(
    backend: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is cancelled when Redis has given the item, and it is not unpickled yet."""
    numbers: Queue[int] = Queue(backend=backend)
    shared: Any = numbers.opened()
    reached, door = threading.Event(), threading.Event()
    load = shared._loaded

    def loaded(*arguments: Any) -> Any:
        reached.set()
        door.wait(PATIENCE)
        return load(*arguments)

    async def main() -> None:
        numbers.put(1)
        monkeypatch.setattr(shared, "_loaded", loaded)
        taking = asyncio.create_task(numbers.aget())
        await until(reached.is_set)
        taking.cancel()
        await asyncio.sleep(0)
        door.set()
        await until(lambda: numbers.qsize() == 1)

    asyncio.run(main())


class Work:
    """Waits for its door, and returns a value or raises an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.door = threading.Event()
        self.error = error
        self.dropped: list[str] = []

    def __call__(self, _: Callable[[], bool]) -> str:
        self.door.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return "value"

    def drop(self, value: str) -> None:
        self.dropped.append(value)

    def start(self) -> Awaitable[str]:
        return in_thread(self, self.drop)


def has_ended() -> bool:
    return "distribute_challenge queue" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(("error", "dropped"), [(None, ["value"]), (OSError(), [])])
def test_a_result_that_comes_too_late_is_dropped(
    error: Exception | None, dropped: list[str]
) -> None:
    work = Work(error)

    async def main() -> None:
        task = asyncio.ensure_future(work.start())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        work.door.set()
        await until(has_ended)
        # What the thread has given to the loop comes before this.
        await asyncio.sleep(0)
        assert work.dropped == dropped

    asyncio.run(main())


def test_a_result_that_comes_just_before_the_caller_is_cancelled_is_dropped() -> None:
    work = Work()

    async def main() -> None:
        task = asyncio.ensure_future(work.start())
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        came = loop.call_soon_threadsafe

        def and_cancel(deliver: Callable[..., Any], *arguments: Any) -> Any:
            def both() -> None:  # Before the task goes on.
                deliver(*arguments)
                task.cancel()

            return came(both)

        with pytest.MonkeyPatch.context() as context:
            context.setattr(loop, "call_soon_threadsafe", and_cancel)
            work.door.set()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert work.dropped == ["value"]


@pytest.mark.parametrize(("error", "dropped"), [(None, ["value"]), (OSError(), [])])
def test_a_result_that_comes_after_the_loop_is_dropped(
    error: Exception | None, dropped: list[str]
) -> None:
    work = Work(error)

    async def main() -> None:
        asyncio.ensure_future(work.start())  # noqa: RUF006
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    tasks = asyncio.all_tasks(loop)
    loop.close()
    work.door.set()
    wait_until(has_ended)
    assert work.dropped == dropped
    assert len(tasks) == 1
