"""`Consumer`: takes items of a queue and calls a function with each; it runs on a worker.

    take ──► the function, with each item ──► results ──► acknowledge
                  └── it raised, for the last time ──► a dead letter

A consumer takes as many items at once as it works off in a moment. When its turn is over, its client
calls it again: in between, other calls may have the worker. If the client is gone, it ends for good.
If its worker dies, the items that it has not acknowledged are delivered again.
"""

from contextlib import nullcontext
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.errors import SerialisationError
from distribute_challenge.execution.attempts import completed, outcome_of
from distribute_challenge.execution_backends.item_queue import ItemQueue, Received
from distribute_challenge.queues.results import Failures, put_results
from distribute_challenge.queues.slow_items import SlowItems
from distribute_challenge.queues.taken_items import TakenItems
from distribute_challenge.queues.taking import Turn, take_items
from distribute_challenge.queues.work import Consumed, ConsumerWork
from distribute_challenge.serialisation import LoadedFunction

__all__ = ["Consumer"]

# All of these are guesses.
QUICK = 0.05  # Seconds; a consumer that works off what it took in less takes twice as many next,
SLOW = 0.2  # and half as many if it takes longer than that.
MOST_AT_ONCE = 1000

_slow = SlowItems()


class Consumer:
    """A function that works on items until its turn is over.

    Args:
        work: What it does.
    """

    def __init__(self, work: ConsumerWork) -> None:
        self.__name__ = work.name
        self._work = work

    def __call__(self, seconds: float, idle: float) -> Consumed:
        """Work until the turn is over, the consumers are stopped, or the queue is.

        Args:
            seconds: As for `Turn`.
            idle: As for `Turn`.

        Raises:
            ShutDown: The results' queue was shut down.
            SystemFailureError: The broker does not answer; a worker with another version of Python
                has put the next item; there is no memory for the results.
        """
        shared = self._work.queue.opened()
        turn = Turn(seconds, idle)
        with shared.consuming():
            if self._work.concurrency == 1:
                return _InOrder(self._work, shared, turn).run()
            # Imported late: it imports asyncio, which most consumers do not need.
            from distribute_challenge.queues.coroutine_consumer import CoroutineConsumer

            consumer = CoroutineConsumer(self._work, shared, turn)
            return completed(consumer.run(), None)  # type: ignore[no-any-return]


class _StoppedError(Exception):
    """The consumers were stopped while their results waited for room."""


class _InOrder:
    """One turn of a consumer that works on one item after the other."""

    def __init__(self, work: ConsumerWork, shared: ItemQueue, turn: Turn) -> None:
        self._work = work
        self._shared = shared
        self._turn = turn
        self._done = 0
        self._failures = Failures()
        options = work.options
        self._batch = Batch("", "", work.name, (), timeout=options.timeout, retries=options.retries)
        self._loaded = LoadedFunction(work.function, options.retry_on, is_async=False)

    def run(self) -> Consumed:
        most, is_over = 1, False
        while not self._turn.is_over():
            try:
                received = take_items(self._work, self._shared, most, self._turn.waits_until())
            except ShutDown:
                is_over = True
                break
            if received is None:
                break
            began = clock.monotonic()
            self._work_on(received)
            took = clock.monotonic() - began
            if self._work.is_early:
                continue  # What it takes and does not begin would be lost with it.
            if took < QUICK:
                most = min(2 * most, MOST_AT_ONCE)
            elif took > SLOW:
                most = max(most // 2, 1)
        return Consumed(self._done, self._failures.count, is_over, self._failures.first)

    def _is_wanted(self) -> bool:
        return not self._shared.is_stopped(self._work.id)

    def _work_on(self, received: Received) -> None:
        taken = TakenItems(self._shared, received.items, received.held)
        try:
            if isinstance(received.failure, SerialisationError):
                self._fail(taken, received.failure)
            with _slow.watching(taken) if len(received.items) > 1 else nullcontext():
                self._run_each(taken)
        except _StoppedError:
            pass
        finally:
            taken.put_back()

    def _run_each(self, taken: TakenItems) -> None:
        values: list[Any] = []
        for item in taken:
            outcome = outcome_of(self._batch, self._loaded, (item,), {})
            if type(outcome) is not Failure:
                values.append(outcome)
                continue
            self._settle(taken, values)
            values = []
            self._fail(taken, outcome)
        self._settle(taken, values)

    def _settle(self, taken: TakenItems, values: list[Any]) -> None:
        """Put the results of the items that were begun first, and acknowledge these items."""
        try:
            put = put_results(self._work.results, values, self._is_wanted)
        except SerialisationError as error:
            if len(values) > 1:  # One by one, to find those that cannot be pickled.
                for value in values:
                    self._settle(taken, [value])
                return
            self._fail(taken, error)
            return
        self._done += put
        if done := taken.finish(put):
            self._shared.acknowledge(done)
        if put < len(values):
            raise _StoppedError

    def _fail(self, taken: TakenItems, failure: Failure | SerialisationError) -> None:
        text = self._failures.note(failure)
        for item in taken.finish(1):
            self._shared.fail(item, text)
