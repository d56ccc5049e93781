"""`CoroutineConsumer`: a consumer that works on many items at the same time, in one event loop."""

import asyncio
import inspect
import random
from collections.abc import Callable, Iterable
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.errors import CallTimeoutError, SerialisationError
from distribute_challenge.execution.attempts import FIRST_PAUSE, LONGEST_PAUSE, failure_of
from distribute_challenge.execution_backends.item_queue import ItemQueue, Items, Received
from distribute_challenge.queues.in_thread import in_thread
from distribute_challenge.queues.results import Failures, put_results
from distribute_challenge.queues.taking import Turn, take_items
from distribute_challenge.queues.work import Consumed, ConsumerWork

__all__ = ["CoroutineConsumer"]

LOOK_EVERY = 0.5  # Seconds between two looks whether the end of the last items takes long.

# The items that coroutines work on, and when they have begun.
Running = dict[asyncio.Task[Any], tuple[Items, float]]


class CoroutineConsumer:
    """One turn of a consumer whose function is a coroutine function.

    Each item is taken for a coroutine that is free, and acknowledged when this coroutine has ended.

    Args:
        work: What it does.
        shared: The queue.
        turn: Its time. It ends what it has begun until then. It goes on for as long as that is only
            a small part of its time.
    """

    def __init__(self, work: ConsumerWork, shared: ItemQueue, turn: Turn) -> None:
        self._work = work
        self._shared = shared
        self._turn = turn
        self._done = 0
        self._is_over = False  # The queue was shut down, and all its items are done.
        self._is_stopped = False
        self._failures = Failures()

    async def run(self) -> Consumed:
        """Work until the time is over."""
        running: Running = {}
        taking: asyncio.Task[Received | None] | None = None
        takes = True
        try:
            while True:
                free = self._work.concurrency - len(running)
                if taking is None and takes and free:
                    taking = asyncio.create_task(self._take(free))
                waiting = {*running, *([taking] if taking is not None else [])}
                if not waiting:
                    return Consumed(
                        self._done, self._failures.count, self._is_over, self._failures.first
                    )
                # If nothing runs, it does not wake up until there are items, or its time is over.
                ended, _ = await asyncio.wait(
                    waiting,
                    timeout=LOOK_EVERY if running else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not ended and not takes:
                    takes = self._goes_on(False, running)
                if taking in ended:
                    received, taking = taking.result(), None
                    if received is not None:
                        await self._begin(received, running)
                    takes = self._goes_on(received is not None, running)
                done = [(task.result(), *since) for task, since in running.items() if task in ended]
                if done:
                    self._turn.lengthen(clock.monotonic() - min(begun for _, _, begun in done))
                    await self._report([(outcome, items) for outcome, items, _ in done])
                    for task in ended & running.keys():
                        del running[task]
        except BaseException:
            # The tasks are cancelled by the end of the loop's run.
            for items, _ in running.values():
                self._shared.put_back(items)
            raise

    def _goes_on(self, found: bool, running: Running) -> bool:
        """Whether to take more items.

        While a coroutine works on an item, other calls cannot have the worker, and the others may
        as well work.

        Args:
            found: Whether there was an item.
            running: What runs.
        """
        if self._is_over or self._is_stopped or not (found or (running and self._turn.waits)):
            return False
        now = clock.monotonic()
        self._turn.lengthen(now - min((begun for _, begun in running.values()), default=now))
        return not self._turn.is_over()

    async def _report(self, done: list[tuple[Any, Items]]) -> None:
        await in_thread(lambda _: self._settle(done))

    async def _take(self, most: int) -> Received | None:
        def take(is_wanted: Callable[[], bool]) -> Received | None:
            until = self._turn.waits_until()
            received = take_items(self._work, self._shared, most, until, is_wanted, singly=True)
            self._is_stopped = received is None and self._shared.is_stopped(self._work.id)
            return received

        try:
            return await in_thread(
                take, lambda received: received and self._shared.reject(received)
            )
        except ShutDown:
            self._is_over = True
            return None

    async def _begin(self, received: Received, running: Running) -> None:
        for item, items in zip(received.items, received.held, strict=False):
            running[asyncio.create_task(self._run(item))] = items, clock.monotonic()
        if isinstance(failure := received.failure, SerialisationError):
            await in_thread(lambda _: self._fail(received.held[0], failure))

    async def _run(self, item: Any) -> Any:
        """Return the outcome of the function for one item, as often as its retries allow."""
        options, pause = self._work.options, FIRST_PAUSE
        for attempt in range(options.retries + 1):
            outcome = await self._attempt(item)
            if type(outcome) is not Failure or not isinstance(outcome.error, options.retry_on):
                break
            if attempt < options.retries:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)
        return outcome

    async def _attempt(self, item: Any) -> Any:
        limit = asyncio.timeout(self._work.options.timeout)
        try:
            async with limit:
                value = self._work.function(item)
                return await value if inspect.isawaitable(value) else value
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # The consumer ends.
            if isinstance(error, TimeoutError) and limit.expired():
                error = CallTimeoutError(
                    f"{self._work.name} ran longer than timeout={self._work.options.timeout:g} s "
                    f"and was stopped"
                )
            return failure_of(error, (item,))

    # --- in another thread, as it waits

    def _is_wanted(self) -> bool:
        return not self._shared.is_stopped(self._work.id)

    def _settle(self, ended: Iterable[tuple[Any, Items]]) -> None:
        """Put the results of items that have ended, and acknowledge these items."""
        done: list[tuple[Any, Items]] = []
        for outcome, items in ended:
            if type(outcome) is Failure:
                self._fail(items, outcome)
            else:
                done.append((outcome, items))
        values = [value for value, _ in done]
        try:
            put = put_results(self._work.results, values, self._is_wanted)
        except SerialisationError as error:
            if len(done) > 1:  # One by one, to find those that cannot be pickled.
                for each in done:
                    self._settle([each])
                return
            self._fail(done[0][1], error)
            return
        self._done += put
        if put:
            self._shared.acknowledge([items for _, items in done[:put]])
        for _, items in done[put:]:
            self._shared.put_back(items)

    def _fail(self, items: Items, failure: Failure | SerialisationError) -> None:
        self._shared.fail(items, self._failures.note(failure))
