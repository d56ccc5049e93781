"""`Consumers`: calls that keep taking items of a queue, on the cluster.

    Consumers ──► a call of `Consumer` for each ──► workers
        └───────── one that has ended is called again, until they are stopped ◄──┘

Guarantees:

- ``_changed`` protects the calls that are open. Their callbacks run in a thread of their own.
- When this process is gone, its calls end within some seconds, and nothing calls them again.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from weakref import WeakSet

from distribute_challenge.core.condition import Condition
from distribute_challenge.core.folding import folded
from distribute_challenge.core.futures import Future
from distribute_challenge.core.interrupts import at_exit
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.errors import (
    CallCancelledError,
    OptionError,
    ResultTimeoutError,
    SystemFailureError,
    TaskLostError,
    WorkerLostError,
)
from distribute_challenge.log import logger
from distribute_challenge.queues.arguments import checked_count, deadline
from distribute_challenge.queues.consumer import Consumer
from distribute_challenge.queues.consumer_arguments import (
    call_options,
    checked_engine,
    checked_work,
)
from distribute_challenge.queues.consumer_results import results_for, results_until_done
from distribute_challenge.queues.queue import Ack, Queue
from distribute_challenge.queues.work import Consumed

if TYPE_CHECKING:
    from distribute_challenge.function import DistributableFunction

__all__ = ["Consumers"]

R = TypeVar("R")

# Seconds that a consumer has its worker, before other calls have their turn.
SHORTEST_TURN = 1.0
LOCAL_ENDS_WITHIN = 0.5  # Seconds, at the end of the program.
# Seconds that it waits for an item; twice as long after each turn without one. The longest time is
# that of ten consumers or fewer, and of any number of them.
SHORTEST_IDLE = 0.25
LONGEST_IDLE = 2.0
MOST_IDLE = 60.0
NOTHING = Consumed(0, 0, is_over=False)

_all: "WeakSet[Consumers[Any]]" = WeakSet()


class Consumers(Generic[R]):
    """Calls on the cluster that take items of a queue and call a function with each.

    ``function.consume(queue)`` makes them. Without a function, the items are calls themselves, such
    as ``resize("a.png")`` of a decorated ``resize``.

    An item is done when the function has returned, and its result is in the results' queue. If the
    function raises, it is called again as often as its ``retries`` say; after that, the item becomes
    a dead letter (`Queue.dead_letters`) with the text of the exception. If the worker dies, another
    consumer gets the item: each item is done at least once.

    Each consumer occupies a worker process. Every second or two it lets other calls that wait
    have it; of more than ten consumers, one of them does five times a second.

    Use it as a context manager: at the end of the block the consumers are stopped.

    Args:
        queue: The queue. The consumers run on its backend.
        function: Called with each item; a decorated function, whose options hold for each item, or
            any function that can be pickled. None: each item is a call.
        consumers: How many there are at most; None: as many as the cluster has worker processes,
            which is also the limit, and may change.
        results: A queue for what the function returns; True: `results` of this object gives it.
            None: it is dropped.
        concurrency: How many items each consumer works on at the same time, for a function that is
            an ``async def`` and waits most of the time.
        ack: ``"late"``: each item is done at least once. ``"early"``: at most once; an item that was
            begun and not done, as the worker died or the consumers were stopped by Ctrl+C, becomes
            a dead letter. None: ``"early"`` if the function has the option ``at_most_once``, or the
            queue was opened with ``ack="early"``; otherwise ``"late"``.

    Attributes:
        engine: The backend on which they run.

    Raises:
        OptionError: An argument is wrong, or the function has an option that consumers cannot keep.
        BackendError: The queue's backend has no workers that take items.
        SerialisationError: The function cannot be pickled.
        SystemFailureError: The broker or the embedded cluster cannot be reached.

    Examples:
        >>> from distribute_challenge import LocalCluster, Queue, compute_this
        >>> square = compute_this(lambda x: x * x)
        >>> with LocalCluster(workers=2):
        ...     numbers = Queue()
        ...     with square.consume(numbers, results=True) as consumers:
        ...         numbers.put_many([1, 2, 3])
        ...         sorted(consumers.results())
        [1, 4, 9]
    """

    def __init__(
        self,
        queue: Queue[Any],
        function: "DistributableFunction[..., R] | Callable[..., R] | None" = None,
        consumers: int | None = None,
        *,
        results: Queue[R] | bool | None = None,
        concurrency: int = 1,
        ack: Ack | None = None,
    ) -> None:
        with folded:
            self.engine = checked_engine(queue)
            self._most = None if consumers is None else checked_count("consumers", consumers)
            if results is True:
                results = results_for(self, self.engine)
            self._work = checked_work(
                queue, function, results or None, concurrency, ack, self.engine
            )
            self._consumer = Consumer(self._work)
            self._prepared = Prepared.of(self._consumer, call_options(function))
            self._changed = Condition()
            self._open: set[Future[Consumed]] = set()
            self._calls = 0
            self._idle = SHORTEST_IDLE
            self._done = self._failed = 0
            self._is_stopped = False
            self._error: BaseException | None = None
            _all.add(self)
            self._fill()

    def join(self, timeout: float | None = None) -> None:
        """Wait until each item that was put into the queue is done, or is a dead letter.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            ResultTimeoutError: Some are not done in time. The consumers go on.
            CallCancelledError: The consumers were stopped before.
            BaseException: What ended the consumers: the error of their ``setup``, an item of
                another version of Python, a broker that does not answer.
        """
        with folded:
            until = deadline(True, timeout)
            shared = self._work.queue.opened()
            self.run_here()
            if self.wait(lambda: True, until):
                return
            self.raise_error()
            unfinished = shared.state().unfinished
            if self._is_stopped:
                raise CallCancelledError(
                    f"{unfinished} item(s) of the queue are not done, and the consumers were "
                    f"stopped: make new ones"
                )
            raise ResultTimeoutError(
                f"{unfinished} item(s) of the queue are not done within timeout={timeout:g} s; the "
                f"consumers go on"
            )

    def results(self) -> Iterator[R]:
        """Return an iterator of results, which ends when each item that was put is done.

        The results come in the order in which they are ready. Those that are not read yet are at
        most 10,000; consumers wait when there are more. An item that became a dead letter has no
        result; one that was done twice, as its worker was lost, has two.

        Raises:
            OptionError: The consumers were made without ``results``.
            BaseException: As for `join`, when the iterator is read.
        """
        with folded:
            results = self._work.results
            if results is None:
                raise OptionError(
                    "the consumers drop their results: make them with results=True, as in "
                    "function.consume(queue, results=True)"
                )
            return self._results(results)

    def stop(self) -> None:
        """Let the consumers end the items that they have begun, and wait for that.

        Items that they have not begun stay in the queue. It may be called more than once.
        """
        with folded:
            self.end()
            with self._changed:
                self._changed.wait_for(lambda: not self._calls)

    @property
    def done(self) -> int:
        """How many items are done, as far as the consumers have reported it: all, after `stop`.

        Consumers report when they let other calls have their turn, and when they are stopped.
        """
        return self._done

    @property
    def failed(self) -> int:
        """How many items have failed, and are dead letters; as for `done`."""
        return self._failed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with folded:
            if isinstance(error, KeyboardInterrupt):
                self.end(force=True)
            else:
                self.stop()
            if error is None:
                self.raise_error()

    def __repr__(self) -> str:
        state = "stopped" if self._is_stopped else f"{self._calls} of {self._work.queue!r}"
        return f"<Consumers {self._work.name}, {state}>"

    # --- for pools

    def wait(self, is_wanted: Callable[[], bool], until: float | None = None) -> bool:
        """Wait until each item is done, and return whether it is so.

        Args:
            is_wanted: Whether to wait on. It is asked every few seconds.
            until: When to stop waiting, by `clock.monotonic`; None: never.
        """
        return self._work.queue.opened().join(
            until, lambda: self._is_working() and is_wanted(), self._work.id
        )

    def end(self, *, force: bool = False) -> None:
        """Tell the consumers to end, and do not wait for it.

        Args:
            force: Do not let them end the items that they have begun.
        """
        with self._changed:
            self._is_stopped = True
            calls = list(self._open)
        if not force:
            # Without the broker, the calls end with their turns.
            with suppress(ShutDown, SystemFailureError):
                waiting = len(calls) + 2  # These, and a `join`, and an iterator of results.
                self._work.queue.opened().stop(self._work.id, waiting)
        for future in calls:
            future.cancel(force)

    def end_with_program(self) -> None:
        """End the consumers as the program ends."""
        if self._work.queue.opened().is_local:
            # They are threads of this process. Those that wait end by themselves, at once.
            self.end()
            with self._changed:
                self._changed.wait_for(lambda: not self._calls, LOCAL_ENDS_WITHIN)
        self.end(force=True)

    def raise_error(self) -> None:
        """Raise the error that has ended the consumers, if one has."""
        if self._error is not None:
            raise self._error

    def run_here(self) -> None:
        """On an engine without workers, run a consumer in this thread until the queue is empty."""
        if not self.engine.concurrency and self._is_working():
            self._calls += 1
            self._call(0.0, 0.0)

    # --- calls

    def _fill(self) -> None:
        """Make as many calls as consumers are missing."""
        with self._changed:
            slots = self.engine.concurrency
            wanted = slots if self._most is None else min(self._most, slots)
            missing = 0 if self._is_stopped else max(wanted - self._calls, 0)
            self._calls += missing
            # Together, those that have nothing to do end at most five times a second in the end.
            idle = min(self._idle, max(LONGEST_IDLE, wanted / 5))
        for _ in range(missing):
            self._call(max(SHORTEST_TURN, idle), idle)

    def _call(self, seconds: float, idle: float) -> None:
        try:
            call: Distributable[Consumed] = Distributable(
                self._consumer, (seconds, idle), prepared=self._prepared
            )
            future = call.submit(self.engine)
        except BaseException:
            self._end()
            raise
        with self._changed:
            self._open.add(future)
        future.add_done_callback(self._note_end)

    def _note_end(self, future: Future[Consumed]) -> None:
        """Note what a call has done, and make another one."""
        if future.cancelled():
            self._is_stopped = True  # By these consumers, or by their engine, which was closed.
            self._end(future)
            return
        error = future.exception()
        consumed = NOTHING if error is not None else future.result()
        self._end(future, consumed)
        if consumed.failed:
            logger.warning(
                "%s failed with %d item(s) of a queue, which are dead letters now; the first one:\n%s",
                self._work.name,
                consumed.failed,
                consumed.failure,
            )
        try:
            # A consumer that was lost, with its worker or its message, is replaced. Other errors
            # would come again.
            if error is not None and not isinstance(error, WorkerLostError | TaskLostError):
                raise error
            if not consumed.is_over:
                self._fill()
        except Exception as failure:
            self._error = self._error or failure
            self.end()

    def _end(self, future: Future[Consumed] | None = None, consumed: Consumed = NOTHING) -> None:
        with self._changed:
            self._calls -= 1
            if future is not None:
                self._open.discard(future)
            self._done += consumed.done
            self._failed += consumed.failed
            is_idle = not consumed.done and not consumed.failed
            self._idle = min(2 * self._idle, MOST_IDLE) if is_idle else SHORTEST_IDLE
            self._changed.notify_all()

    def _is_working(self) -> bool:
        """Whether items may still be done by these consumers."""
        return self._error is None and not self._is_stopped

    def _results(self, results: Queue[R]) -> Iterator[R]:
        with folded:
            self.run_here()
            yield from results_until_done(self.wait, results.opened())
            self.raise_error()


def _end_all() -> None:
    """At the end of the program, stop what runs: items that were begun are delivered again."""
    for consumers in list(_all):
        consumers.end_with_program()


at_exit(_end_all)
