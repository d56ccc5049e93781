"""`QueuePool` and `ConsumerPool`: several queues as one, also on several Redis servers."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from distribute_challenge.core import clock
from distribute_challenge.core.folding import folded
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.item_queue import DeadLetter
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.queues.arguments import checked_count, deadline
from distribute_challenge.queues.consumer_results import results_for, results_until_done
from distribute_challenge.queues.consumers import Consumers
from distribute_challenge.queues.full import Full
from distribute_challenge.queues.queue import Ack, Queue

if TYPE_CHECKING:
    from distribute_challenge.function import DistributableFunction

__all__ = ["ConsumerPool", "QueuePool"]

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 1000  # Items of `put_many` that go into one queue, before the next one's turn.


class QueuePool(Generic[T]):
    """Several queues that are used as one: items go into each in turn.

    One queue of one Redis has room for hundreds of thousands of items a second, so a pool is for
    several Redis servers: each with its own workers, which take the items that lie there.

    Args:
        n_queues: How many queues there are.
        name: Their names are this one with a number, as in ``"pictures-0"``; None: they end with
            this process.
        maxsize: Most items that wait in each of them; 0: no limit.
        lease: As for `Queue`.
        ack: As for `Queue`.
        backends: Where they lie, in turn, as in ``[CeleryExecutionBackend("redis://one"),
            CeleryExecutionBackend("redis://two")]``; None: all on the default backend.

    Raises:
        OptionError: An argument is wrong.
        BackendError: A backend has no queues.
        BrokerUnreachableError: A broker does not answer.

    Examples:
        >>> from distribute_challenge import LocalCluster, compute_this
        >>> from distribute_challenge.queues import QueuePool
        >>> with LocalCluster(workers=2):
        ...     pool = QueuePool(2)
        ...     with pool.consume(compute_this(str.upper), results=True) as consumers:
        ...         pool.put_many(["a", "b", "c"])
        ...         sorted(consumers.results())
        ['A', 'B', 'C']
    """

    def __init__(
        self,
        n_queues: int = 1,
        *,
        name: str | None = None,
        maxsize: int = 0,
        lease: float | None = None,
        ack: Ack = "late",
        backends: Sequence[Choice] | None = None,
    ) -> None:
        with folded:
            checked_count("n_queues", n_queues)
            places = list(backends) if backends is not None else [None]
            if not 0 < len(places) <= n_queues:
                raise OptionError(
                    f"backends: got {len(places)} for n_queues={n_queues}: expected at least one, "
                    f"and a queue for each"
                )
            self._queues: list[Queue[T]] = [
                Queue(
                    None if name is None else f"{name}-{number}",
                    maxsize,
                    lease=lease,
                    ack=ack,
                    backend=places[number % len(places)],
                )
                for number in range(n_queues)
            ]
            self._turns = itertools.count()

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item into the queue whose turn it is, as `Queue.put` does."""
        self._next().put(item, block, timeout)

    def put_nowait(self, item: T) -> None:
        """Put an item into the next queue that has room, or raise `Full` if none has."""
        with folded:
            for _ in self._queues:
                try:
                    self._next().put_nowait(item)
                except Full:
                    continue
                return
            raise Full(f"there was room in none of the {len(self)} queues")

    def put_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None
    ) -> None:
        """Put items into all queues in turn, up to a thousand into each.

        Args:
            items: The items. They are read as they are put.
            block: As for `Queue.put_many`.
            timeout: Seconds to wait until there was room for all; None waits for ever.

        Raises:
            Exception: As for `Queue.put_many`; ``put`` of a `Full` counts the items of all queues.
        """
        with folded:
            until = deadline(block, timeout)
            put, rest = 0, iter(items)
            while some := list(itertools.islice(rest, MOST_AT_ONCE)):
                share = -(-len(some) // len(self))
                for first in range(0, len(some), share):
                    part = some[first : first + share]
                    left = None if until is None else max(until - clock.monotonic(), 0.0)
                    try:
                        self._next().put_many(part, timeout=left)
                    except Full as full:
                        put += full.put
                        raise Full(f"there was room for {put} items", put) from None
                    put += len(part)

    def qsize(self) -> int:
        """Return how many items wait in all queues together."""
        return sum(queue.qsize() for queue in self._queues)

    def empty(self) -> bool:
        """Whether no item waits in any of them."""
        return self.qsize() == 0

    def join(self) -> None:
        """Wait until each item that was put into them is done."""
        for queue in self._queues:
            queue.join()

    def shutdown(self, immediate: bool = False) -> None:
        """Shut all queues down, as `Queue.shutdown` does."""
        for queue in self._queues:
            queue.shutdown(immediate)

    def dead_letters(self, most: int = 100) -> list[DeadLetter]:
        """Return dead letters of all queues, as `Queue.dead_letters` does."""
        return [letter for queue in self._queues for letter in queue.dead_letters(most)][:most]

    def requeue(self) -> int:
        """Put all dead letters back, and return how many there were."""
        return sum(queue.requeue() for queue in self._queues)

    def delete(self) -> None:
        """Remove all queues with all their items."""
        for queue in self._queues:
            queue.delete()

    def consume(
        self,
        function: "DistributableFunction[..., R] | Callable[..., R] | None" = None,
        consumers: int | None = None,
        *,
        results: bool = False,
        concurrency: int = 1,
        ack: Ack | None = None,
    ) -> "ConsumerPool[R]":
        """Return consumers of all queues; the arguments are those of `ConsumerPool`."""
        with folded:
            return ConsumerPool(
                self, function, consumers, results=results, concurrency=concurrency, ack=ack
            )

    def __len__(self) -> int:
        return len(self._queues)

    def __getitem__(self, number: int) -> Queue[T]:
        return self._queues[number]

    def __iter__(self) -> Iterator[Queue[T]]:
        return iter(self._queues)

    def __repr__(self) -> str:
        return f"<QueuePool of {len(self)} queues>"

    def _next(self) -> Queue[T]:
        return self._queues[next(self._turns) % len(self)]


class ConsumerPool(Generic[R]):
    """`Consumers` of each queue of a pool.

    Args:
        pool: The queues.
        function: As for `Consumers`.
        consumers: How many there are at most in all, at least one for each queue; None: as many as
            there are worker processes.
        results: Whether `results` gives what the function returns.
        concurrency: As for `Consumers`.
        ack: As for `Consumers`.

    Raises:
        Exception: As for `Consumers`.
    """

    def __init__(
        self,
        pool: QueuePool[Any],
        function: "DistributableFunction[..., R] | Callable[..., R] | None" = None,
        consumers: int | None = None,
        *,
        results: bool = False,
        concurrency: int = 1,
        ack: Ack | None = None,
    ) -> None:
        with folded, ExitStack() as made:
            if consumers is not None:
                checked_count("consumers", consumers)
            places: dict[ExecutionBackend, list[Queue[Any]]] = {}
            for queue in pool:
                places.setdefault(queue.engine(), []).append(queue)
            self._results: dict[ExecutionBackend, Queue[R]] = {}
            self._consumers: list[Consumers[R]] = []
            for engine, queues in places.items():
                if results:
                    self._results[engine] = results_for(self, engine)
                total = engine.concurrency
                if consumers is not None:
                    total = min(total, consumers * len(queues) // len(pool))
                for number, queue in enumerate(queues):
                    some: Consumers[R] = Consumers(
                        queue,
                        function,
                        max(len(range(number, total, len(queues))), 1),
                        results=self._results.get(engine),
                        concurrency=concurrency,
                        ack=ack,
                    )
                    self._consumers.append(made.enter_context(some))
            made.pop_all()  # Otherwise they are stopped here, as some could not be made.

    def join(self, timeout: float | None = None) -> None:
        """Wait until each item that was put is done, as `Consumers.join` does."""
        with folded:
            until = deadline(True, timeout)
            for some in self._consumers:
                some.join(None if until is None else max(until - clock.monotonic(), 0.0))

    def results(self) -> Iterator[R]:
        """Return an iterator of results, as `Consumers.results` does."""
        with folded:
            if not self._results:
                raise OptionError(
                    "the consumers drop their results: make them with results=True, as in "
                    "pool.consume(function, results=True)"
                )
            return self._all_results()

    def stop(self) -> None:
        """Let the consumers end the items that they have begun, and wait for that."""
        with folded:
            for some in self._consumers:
                some.end()
            for some in self._consumers:
                some.stop()

    @property
    def done(self) -> int:
        """How many items are done; as `Consumers.done`."""
        return sum(some.done for some in self._consumers)

    @property
    def failed(self) -> int:
        """How many items have failed, and are dead letters; as `Consumers.failed`."""
        return sum(some.failed for some in self._consumers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with folded:
            force = isinstance(error, KeyboardInterrupt)
            for some in self._consumers:
                some.end(force=force)
            if not force:
                self.stop()
            if error is None:
                for some in self._consumers:
                    some.raise_error()

    def __repr__(self) -> str:
        return f"<ConsumerPool of {self._consumers}>"

    def _all_results(self) -> Iterator[R]:
        with folded:
            for engine, results in self._results.items():
                some = [each for each in self._consumers if each.engine is engine]
                for each in some:
                    each.run_here()

                def join(is_wanted: Callable[[], bool], some: list[Consumers[R]] = some) -> None:
                    for each in some:
                        each.wait(is_wanted)

                yield from results_until_done(join, results.opened())
                for each in some:
                    each.raise_error()
