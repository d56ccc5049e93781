"""`Queue`: a queue of items with the words of the standard library, in the cluster's Redis."""

import queue
from collections.abc import AsyncIterator, Iterable
from typing import Any, Generic, Literal, TypeVar

from distribute_challenge.core.folding import folded
from distribute_challenge.core.needs import as_they_are
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.item_queue import (
    DeadLetter,
    ItemQueue,
    queue_id,
    queue_name,
)
from distribute_challenge.execution_backends.registry import Choice
from distribute_challenge.queues.arguments import (
    check_lease,
    check_name,
    checked_count,
    checked_size,
    deadline,
)
from distribute_challenge.queues.full import Full
from distribute_challenge.queues.handle import QueueHandle, engine_of
from distribute_challenge.queues.in_thread import in_thread
from distribute_challenge.serialisation import MOST_ITEMS, pack_items

__all__ = ["Queue"]

T = TypeVar("T")

Ack = Literal["late", "early"]


class Queue(Generic[T]):
    """A queue that several processes and machines share, like `queue.Queue`.

    An item that `get` returns belongs to its process until `task_done`. If the process dies before
    that, the item is delivered again, to another process: each item is done at least once. An item
    whose processes die again and again becomes a dead letter.

    A queue with a name is for all clients of the cluster, and stays until `delete`. A queue without
    a name ends with the process that made it. Both can be arguments of calls.

    Args:
        name: Name of the queue, which is made if there is none of that name; None: a queue of this
            process.
        maxsize: Most items that wait in the queue; `put` waits for room. 0: no limit, or the limit
            that a queue of this name has.
        lease: Seconds without a sign of life after which the items of a process are delivered
            again. None: 30, or what a queue of this name has.
        ack: ``"late"``: items are done by `task_done`. ``"early"``: they are done when `get`
            returns them, at most once, and `task_done` is not needed.
        backend: As for `Distributable.compute`. On ``"celery"``, a queue lies in Redis; on
            ``"threads"`` and ``"local"``, in the memory of this process. The other built-in ones
            have no queues. Inside a call on ``"celery"``, a queue is one of the worker's cluster.

    Raises:
        BackendError: The backend has no queues.
        BrokerUnreachableError: The broker does not answer.
        OptionError: An argument is wrong, or a queue of this name has another limit or lease.

    Examples:
        >>> from distribute_challenge import LocalCluster, Queue
        >>> with LocalCluster(workers=1):
        ...     queue = Queue("numbers", maxsize=100)
        ...     queue.put_many([1, 2, 3])
        ...     queue.get(), queue.get_many(10)
        (1, [2, 3])
    """

    def __init__(
        self,
        name: str | None = None,
        maxsize: int = 0,
        *,
        lease: float | None = None,
        ack: Ack = "late",
        backend: Choice = None,
    ) -> None:
        with folded:
            check_name(name)
            limit = checked_size(maxsize)
            check_lease(lease)
            if ack not in ("late", "early"):
                raise OptionError(f'ack={ack!r}: expected "late" or "early"')
            self._ack: Ack = ack
            self._handle = QueueHandle(queue_id(name))
            self._handle.open(engine_of(backend), limit, lease)

    # --- the standard library's words

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item at the end of the queue.

        It returns when Redis has the item.

        Args:
            item: Anything that can be pickled. Later changes of it have no effect.
            block: Wait until there is room; False: raise `Full` if there is none.
            timeout: Seconds to wait for room; None waits for ever.

        Raises:
            Full: There is no room, or was none in time. It is a `queue.Full`.
            ShutDown: The queue is shut down.
            ValueError: ``timeout`` is negative.
            SerialisationError: The item cannot be pickled.
            SystemFailureError: The broker does not answer, or has no room.
        """
        with folded:
            self._put([item], deadline(block, timeout))

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the first item of the queue.

        Args:
            block: Wait until there is an item; False: raise `queue.Empty` if there is none.
            timeout: Seconds to wait for an item; None waits for ever.

        Raises:
            queue.Empty: There is no item, or was none in time.
            ShutDown: The queue is shut down and empty.
            ValueError: ``timeout`` is negative.
            SerialisationError: The item cannot be unpickled. It counts as taken.
            VersionMismatchError: Another version of Python has put the item, which stays.
            SystemFailureError: The broker does not answer.
        """
        with folded:
            return self._get(1, deadline(block, timeout))[0]

    def put_nowait(self, item: T) -> None:
        """Put an item, or raise `Full` if there is no room; as `put` with ``block=False``."""
        with folded:
            self._put([item], deadline(False, None))

    def get_nowait(self) -> T:
        """Take an item, or raise `queue.Empty`; as `get` with ``block=False``."""
        with folded:
            return self._get(1, deadline(False, None))[0]

    def qsize(self) -> int:
        """Return how many items wait in the queue; others may change it at any time."""
        with folded:
            return self.opened().state().size

    def empty(self) -> bool:
        """Whether no item waits in the queue."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether the queue has no room for another item."""
        with folded:
            state = self.opened().state()
            return 0 < state.maxsize <= state.size

    def task_done(self, count: int = 1) -> None:
        """Acknowledge items that this process has taken, so that they are not delivered again.

        They are those that this thread took first; if it holds none, those of other threads.

        Args:
            count: How many.

        Raises:
            ValueError: This process does not hold so many items, or they are done by being taken.
            SystemFailureError: The broker does not answer.
        """
        with folded:
            if self._ack == "early":
                raise ValueError(
                    'the items of a queue with ack="early" are done when they are taken: leave '
                    "task_done() out"
                )
            self.opened().task_done(checked_count("count", count))

    def join(self) -> None:
        """Wait until each item that was put is done."""
        with folded:
            self.opened().join(None)

    def shutdown(self, immediate: bool = False) -> None:
        """Refuse more items: `put` raises `ShutDown`, and so does `get` when the queue is empty.

        This holds for all processes, and for those that wait in `put` and `get`.

        Args:
            immediate: Also drop the items that wait; they count as done.
        """
        with folded:
            self.opened().shut_down(immediate=bool(immediate))

    @property
    def maxsize(self) -> int:
        """Most items that wait in the queue; 0: no limit. It can be set, for all processes."""
        with folded:
            return self.opened().state().maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        with folded:
            self.opened().resize(checked_size(maxsize))

    # --- several items at once

    def put_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None
    ) -> None:
        """Put items at the end of the queue, up to a thousand in one message.

        Args:
            items: The items. All are pickled before the first one is put.
            block: As for `put`.
            timeout: Seconds to wait until there was room for all; None waits for ever.

        Raises:
            Full: There was no room for all. Its attribute ``put`` says how many were put.
            ShutDown: The queue is shut down; the first items may have been put before.
            ValueError: ``timeout`` is negative.
            SerialisationError: An item cannot be pickled; none was put.
            SystemFailureError: The broker does not answer, or has no room.
        """
        with folded:
            self._put(items, deadline(block, timeout))

    def get_many(self, most: int, block: bool = True, timeout: float | None = None) -> list[T]:
        """Take the first items of the queue, as soon as there is one.

        Args:
            most: How many items at most. About 1 MB of items comes at once.
            block: As for `get`.
            timeout: As for `get`.

        Returns:
            At least one item.

        Raises:
            Exception: As for `get`.
        """
        with folded:
            return self._get(checked_count("most", most), deadline(block, timeout))

    # --- in coroutines

    async def aput(self, item: T, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as `put`
        """Put an item, as `put` does, while the event loop goes on.

        An ``aput`` that is cancelled may still put the item.
        """
        with folded:
            until = deadline(True, timeout)
            await in_thread(lambda _: self._put([item], until))

    async def aget(self, timeout: float | None = None) -> T:  # noqa: ASYNC109 - as `get`
        """Take the first item, as `get` does, while the event loop goes on.

        If it is cancelled, as by `asyncio.wait_for`, no item is lost.
        """
        with folded:
            until = deadline(True, timeout)
            shared = await in_thread(lambda _: self.opened())
            received = await in_thread(
                lambda is_wanted: shared.take(1, until, is_wanted),
                lambda received: received and shared.reject(received),
            )
            if received is None:
                raise queue.Empty
            if self._ack == "late":
                return shared.accept(received, is_early=False)[0]  # type: ignore[no-any-return]
            items = await in_thread(lambda _: shared.accept(received, is_early=True))
            return items[0]  # type: ignore[no-any-return] # what `put` was given

    async def __aiter__(self) -> AsyncIterator[T]:
        """Take items, as `aget` does, until the queue is shut down and empty."""
        while True:
            try:
                item = await self.aget()
            except ShutDown:
                return
            yield item

    # --- the whole queue

    def dead_letters(self, most: int = 100) -> list[DeadLetter]:
        """Return items that are not delivered any more, the oldest first; they stay where they are.

        An item is a dead letter when each of three processes that had taken it was lost
        (``DISTRIBUTE_CHALLENGE_ATTEMPTS`` of the process that made the queue). It counts as done.

        Args:
            most: How many items at most. They come in answers of about 1 MB, so it may be fewer.

        Raises:
            SystemFailureError: The broker does not answer.
        """
        with folded:
            return self.opened().dead_letters(checked_count("most", most))

    def requeue(self) -> int:
        """Put all dead letters at the end of the queue, as if they had just been put.

        There need not be room for them.

        Returns:
            How many there were.

        Raises:
            ShutDown: The queue is shut down.
            SystemFailureError: The broker does not answer.
        """
        with folded:
            return self.opened().requeue()

    def delete(self) -> None:
        """Remove the queue with all its items, for all processes; they count as done.

        A queue that is used again after that begins anew, also if it was shut down.
        """
        with folded:
            self.opened().delete()

    @property
    def ack(self) -> Ack:
        """When its items are done, as it was given."""
        return self._ack

    @property
    def name(self) -> str | None:
        """The name that was given; None if there is none."""
        return queue_name(self._handle.id)

    def _put(self, items: Iterable[T], until: float | None) -> None:
        shared = self.opened()
        # Blocks of a queue with a limit are no larger, as their rest would be sent once more.
        with as_they_are():  # An item may be a call that a consumer runs.
            blocks = pack_items(items, "an item of the queue", shared.maxsize or MOST_ITEMS)
        put, given = shared.put(blocks, until), sum(block.count for block in blocks)
        if put < given:
            raise Full(f"there was room for {put} of {given} item(s)", put)

    def _get(self, most: int, until: float | None) -> list[T]:
        shared = self.opened()
        received = shared.take(most, until)
        if received is None:
            raise queue.Empty
        return shared.accept(received, is_early=self._ack == "early")

    def engine(self) -> ExecutionBackend:
        """Return the engine that has the queue, for consumers."""
        return self._handle.engine()

    def opened(self) -> ItemQueue:
        """Return the queue as its engine knows it, for consumers."""
        return self._handle.queue()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._handle.id, self._handle.is_local, self._ack)

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>" if self.name is not None else "<Queue without a name>"


def _reopened(id: str, is_local: bool, ack: Ack) -> Queue[Any]:  # noqa: A002
    made: Queue[Any] = Queue.__new__(Queue)
    made._ack = ack
    made._handle = QueueHandle(id, is_local=is_local)
    return made
