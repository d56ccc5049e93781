"""The interface of a queue of items, as an engine gives it to `Queue`."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from distribute_challenge.core.guarded import text_of
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.errors import SerialisationError

__all__ = [
    "QUEUES_NEED_CLUSTER",
    "DeadLetter",
    "ItemQueue",
    "Items",
    "QueueState",
    "Received",
    "queue_id",
    "queue_name",
    "unloadable",
]

QUEUES_NEED_CLUSTER = (
    "a queue that processes share lies in Redis, and the backend in use here has none: use the "
    "backend 'celery', as in Queue(backend='celery'), with the embedded cluster or with one of "
    "your own. Threads of one process can share Queue(backend='threads')"
)


_NAMED = "named:"
_UNNAMED = "unnamed:"


def queue_id(name: str | None) -> str:
    """Return the id of the queue of a name; a new id if there is no name.

    Examples:
        >>> queue_id("jobs")
        'named:jobs'
    """
    return _UNNAMED + uuid.uuid4().hex if name is None else _NAMED + name


def queue_name(id: str) -> str | None:  # noqa: A002
    """Return the name of the queue with an id; None if it has no name.

    Examples:
        >>> queue_name("named:jobs"), queue_name("unnamed:c0ffee")
        ('jobs', None)
    """
    return id.removeprefix(_NAMED) if id.startswith(_NAMED) else None


def unloadable(error: BaseException) -> SerialisationError:
    """Return the error of an item that cannot be loaded, for the exception that it raised."""
    failure = SerialisationError(
        f"an item of the queue cannot be unpickled here: {type(error).__name__}: "
        f"{text_of(error)}. Make importable here what it needs. The item counts as taken: it goes "
        f"back to the queue when this process ends, or task_done() drops it"
    )
    failure.__cause__ = error
    return failure


class QueueState(NamedTuple):
    """The state of a queue.

    Args:
        maxsize: Most items that may wait; 0 if there is no limit.
        size: Number of items that wait.
        unfinished: Number of items that were put and are not done.
        dead: Number of dead letters.
        is_shut: Whether it was shut down.
    """

    maxsize: int
    size: int
    unfinished: int
    dead: int
    is_shut: bool


class Items(NamedTuple):
    """Consecutive items of one delivery.

    Args:
        delivery: Name of the delivery.
        start: Number of the first item in its block.
        stop: Number behind the last one.
    """

    delivery: str
    start: int
    stop: int


class Received(NamedTuple):
    """Items that were taken, and neither accepted nor rejected yet.

    Args:
        delivery: Name by which they are rejected.
        items: The items.
        held: Which ones they are.
        failure: Why there are none: the first one cannot be loaded.
    """

    delivery: str
    items: list[Any]
    held: Sequence[Items]
    failure: Exception | None


class DeadLetter(NamedTuple):
    """An item that is not delivered any more; `Queue.dead_letters` returns it.

    Args:
        item: The item; a `SerialisationError` if it cannot be unpickled here.
        error: Why it is not delivered any more: the exception that its call raised, or that its
            processes were lost.
    """

    item: Any
    error: str


class ItemQueue(ABC):
    """A queue of items that several processes may use; `Queue` is the users' interface of it.

    Any thread may call. Every method raises `SystemFailureError` if the engine's broker does not
    answer, or refuses; and `ShutDown` if the queue ended with its client.

    Attributes:
        maxsize: Most items that may wait, as far as this process knows; 0: no limit.
        lease: Seconds after which the items of a lost process are delivered again.
        is_local: Whether it lies in the memory of this process.
    """

    is_local = False

    maxsize: int
    lease: float

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether the engine was closed."""

    @abstractmethod
    def put(self, blocks: Sequence[ItemBlock], deadline: float | None) -> int:
        """Put items at the end, and wait until there is room for them.

        Args:
            blocks: The items.
            deadline: When to stop waiting, by `clock.monotonic`; None: never.

        Returns:
            How many items were put: all, unless time was over.

        Raises:
            ShutDown: The queue is shut down.
        """

    @abstractmethod
    def take(
        self,
        most: int,
        deadline: float | None,
        is_wanted: Callable[[], bool] = lambda: True,
        *,
        singly: bool = False,
        once: bool = False,
        consumers: str = "",
    ) -> Received | None:
        """Take items from the front, and wait until there is one.

        Args:
            most: How many items at most.
            deadline: When to stop waiting, by `clock.monotonic`; None: never.
            is_wanted: Whether items are still wanted. It is asked before they are taken.
            singly: Whether each item is to be acknowledged by itself, in any order.
            once: Whether the items are never delivered again: those that are not done become dead
                letters.
            consumers: Id of the consumers that the caller is one of; `stop` wakes it.

        Returns:
            At least one item, which the caller accepts or rejects; None if time was over, or none
                is wanted.

        Raises:
            ShutDown: The queue is shut down and empty.
            VersionMismatchError: Another version has put the first item, which stays in the queue.
        """

    @abstractmethod
    def accept(self, received: Received, *, is_early: bool) -> list[Any]:
        """Return items that were taken.

        Args:
            received: What `take` returned.
            is_early: Whether the items are done by that. If not, this process holds them until
                `task_done`.

        Raises:
            SerialisationError: The first item cannot be unpickled. It counts as taken.
        """

    @abstractmethod
    def reject(self, received: Received) -> None:
        """Have items that were taken put back to the front, soon; it never waits."""

    @abstractmethod
    def task_done(self, count: int) -> None:
        """Acknowledge items that were taken: those that this thread took first.

        Raises:
            ValueError: This process does not hold so many.
        """

    @abstractmethod
    def join(
        self,
        deadline: float | None,
        is_wanted: Callable[[], bool] = lambda: True,
        consumers: str = "",
    ) -> bool:
        """Wait until all items are done.

        Args:
            deadline: When to stop waiting, by `clock.monotonic`; None: never.
            is_wanted: Whether to wait on. It is asked every few seconds.
            consumers: Id of consumers; when they are stopped, it is asked at once.

        Returns:
            Whether all are done.
        """

    @abstractmethod
    def state(self) -> QueueState:
        """Return the state of the queue; that of an empty one if it is not there."""

    @abstractmethod
    def dead_letters(self, most: int) -> list[DeadLetter]:
        """Return items that are not delivered any more, the oldest first; they stay.

        Args:
            most: How many entries of the list to return at most; it may be fewer items.
        """

    @abstractmethod
    def requeue(self) -> int:
        """Put the dead letters at the end of the queue, and return how many there were.

        Raises:
            ShutDown: The queue is shut down.
        """

    @abstractmethod
    def resize(self, maxsize: int) -> None:
        """Change the number of items that may wait."""

    @abstractmethod
    def shut_down(self, *, immediate: bool) -> None:
        """Refuse more items; with ``immediate`` also drop those that wait."""

    @abstractmethod
    def delete(self) -> None:
        """Remove the queue with all its items."""

    def abandon(self) -> None:  # noqa: B027
        """Let a queue without a name end: no process needs it any more.

        A finalizer may call it: it takes no lock.
        """

    # --- for consumers, which say of each item what has become of it

    @abstractmethod
    def consuming(self) -> AbstractContextManager[None]:
        """Return a context manager for a block in which items are taken and not accepted.

        While it runs, this process holds what it has taken.
        """

    @abstractmethod
    def acknowledge(self, done: Sequence[Items]) -> None:
        """Acknowledge items, of each delivery the first ones that are not done."""

    @abstractmethod
    def fail(self, item: Items, error: str) -> None:
        """Make an item a dead letter; those before it in its delivery are done.

        Args:
            item: The item.
            error: Why.
        """

    @abstractmethod
    def put_back(self, first: Items) -> None:
        """Have items put back to the front, soon; it never waits.

        Args:
            first: The first of them. All that were taken behind it, by the same `take`, are put
                back, too.
        """

    @abstractmethod
    def stop(self, consumers: str, count: int) -> None:
        """Tell consumers to end, and wake those that wait.

        Args:
            consumers: Their id.
            count: How many there are.
        """

    @abstractmethod
    def is_stopped(self, consumers: str) -> bool:
        """Whether consumers were told to end, not long ago."""
