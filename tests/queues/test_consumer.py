"""One turn of `Consumer`: how long it takes items, and what becomes of their results."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from distribute_challenge import Queue
from distribute_challenge.core import clock
from distribute_challenge.core.options import CallOptions
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.queues.consumer import Consumer
from distribute_challenge.queues.coroutine_consumer import CoroutineConsumer
from distribute_challenge.queues.results import put_results
from distribute_challenge.queues.taking import Turn
from distribute_challenge.queues.work import Consumed, ConsumerWork
from tests.calls import later
from tests.processes import PATIENCE, wait_until


def work_of(items: "Queue[Any]", function: Callable[..., Any], **changes: Any) -> ConsumerWork:
    work = ConsumerWork("id", items, function, "work", CallOptions(), None, 1, is_early=False)
    return replace(work, **changes)


def test_a_consumer_ends_after_its_time_and_takes_no_further_item(items: "Queue[int]") -> None:
    """It ends what it has begun, and then takes no more."""
    until = clock.monotonic() + 0.05

    def work(item: int) -> None:
        while clock.monotonic() < until:
            pass

    items.put_many([1, 2])
    assert Consumer(work_of(items, work))(0.01, 0.01).done == 1


def test_a_coroutine_that_takes_long_keeps_no_others_from_items(
    items: "Queue[int]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if its consumer's turn is over, and no item came for a while."""
    monkeypatch.setattr("distribute_challenge.queues.coroutine_consumer.LOOK_EVERY", 0.01)
    begun: list[int] = []

    async def wait(item: int) -> None:
        begun.append(item)
        while item == 0 and len(begun) < 3:  # noqa: ASYNC110 # other threads put the items
            await asyncio.sleep(0.001)

    items.put(0)
    with ThreadPoolExecutor(1) as thread:
        consumer = Consumer(work_of(items, wait, concurrency=2))
        consumed = thread.submit(consumer, 0.001, 0.001)
        for item in (1, 2):
            wait_until(lambda item=item: item - 1 in begun)  # type: ignore[misc]
            items.put(item)
        assert consumed.result(PATIENCE).done == 3


def test_a_consumer_goes_on_if_the_items_that_it_ends_take_long(
    items: "Queue[int]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distribute_challenge.queues.coroutine_consumer.LOOK_EVERY", 0.01)
    turn, over = Turn(PATIENCE, 0.001), [True]
    monkeypatch.setattr(turn, "is_over", lambda: bool(over) and over.pop())

    async def run() -> Consumed:
        second = asyncio.Event()

        async def wait(item: int) -> None:
            if item == 1:
                assert not over
                items.put(2)
                await second.wait()
            second.set()

        work = work_of(items, wait, concurrency=2)
        return await CoroutineConsumer(work, items.opened(), turn).run()

    items.put(1)
    assert asyncio.run(run()).done == 2


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_shutdown_ends_consumers_when_all_is_done(
    items: "Queue[int]", concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then, each takes its turns."""
    monkeypatch.setattr("distribute_challenge.queues.taking.LOOK_EVERY", 0.01)
    items.put_many([1, 2])
    other = items.opened().take(1, None)
    assert other is not None
    items.shutdown()
    consumer = Consumer(work_of(items, later, concurrency=concurrency))
    assert consumer(0.2, 0.2) == Consumed(1, 0, is_over=False)
    items.opened().stop("id", 1)
    assert consumer(PATIENCE, PATIENCE) == Consumed(0, 0, is_over=False)
    items.opened().acknowledge(other.held)
    work = work_of(items, later, concurrency=concurrency, id="other")
    assert Consumer(work)(PATIENCE, PATIENCE) == Consumed(0, 0, is_over=True)


def test_results_wait_for_room(items: "Queue[int]", threads: ThreadsExecutionBackend) -> None:
    results: Queue[int] = Queue(maxsize=1, backend=threads)
    answers: list[bool] = []

    def is_wanted() -> bool:
        answers.append(True)
        assert results.get() == len(answers)
        return True

    assert put_results(results, [1, 2, 3], is_wanted) == 3
    assert answers == [True, True]


def test_items_that_arrive_for_a_consumer_that_ends_go_back(items: "Queue[int]") -> None:
    async def take() -> None:
        consumer = CoroutineConsumer(
            work_of(items, later), items.opened(), Turn(PATIENCE, PATIENCE)
        )
        taking = asyncio.create_task(consumer._take(1))
        await asyncio.sleep(0)
        taking.cancel()
        items.put(1)
        with pytest.raises(asyncio.CancelledError):
            await taking

    asyncio.run(take())
    wait_until(lambda: items.qsize() == 1)
