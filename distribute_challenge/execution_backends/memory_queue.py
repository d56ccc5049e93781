"""Queues of items in the memory of this process, for the engines whose calls run in it.

Items are pickled as for Redis: what a consumer gets is its own copy, and an item that could not
travel is refused here, too.
"""

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.core.interrupts import is_interrupt, is_worker
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.errors import BackendError, OptionError
from distribute_challenge.execution_backends.held_items import HeldItems
from distribute_challenge.execution_backends.item_queue import (
    QUEUES_NEED_CLUSTER,
    DeadLetter,
    ItemQueue,
    Items,
    QueueState,
    Received,
    queue_name,
    unloadable,
)
from distribute_challenge.serialisation import loads

__all__ = ["MemoryQueue", "memory_queue"]

STOPPED = 'its consumer was stopped, and with ack="early" it had one try'
LOOK_EVERY = 1.0  # Seconds after which a `join` asks whether it is still wanted.

_lock = threading.Lock()
_named: dict[str, "MemoryQueue"] = {}
_unnamed: "WeakValueDictionary[str, MemoryQueue]" = WeakValueDictionary()


class _Item(NamedTuple):
    """An item that waits: its pickle, or its value if that never changes."""

    value: Any
    is_pickled: bool


class MemoryQueue(ItemQueue):
    """A queue that the threads of this process share.

    Guarantees: ``_changed`` protects all that is here. In the child of a fork, the queue is a copy.

    Args:
        id: Its id.
        maxsize: Most items that may wait; 0: no limit.
    """

    lease = 0.0  # Its holders are threads of this process, and end with it.
    is_closed = False
    is_local = True

    def __init__(self, id: str, maxsize: int) -> None:  # noqa: A002
        self.maxsize = maxsize
        self._id = id
        self._shutdown = ""
        self._unfinished = 0
        self._waiting: deque[_Item] = deque()
        self._taken: dict[str, _Item] = {}
        self._once: set[str] = set()  # Of these, those that are never delivered again.
        self._dead: list[tuple[_Item, str]] = []
        self._stopped: set[str] = set()
        self._held = HeldItems()
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._changed = Condition()

    # --- items

    def put(self, blocks: Sequence[ItemBlock], deadline: float | None) -> int:
        items = [item for block in blocks for item in _items_of(block)]
        with self._changed:
            for count, item in enumerate(items):
                if not self._wait(self._has_room, deadline):
                    return count
                if self._shutdown:
                    raise ShutDown
                self._waiting.append(item)
                self._unfinished += 1
                self._changed.notify_all()
        return len(items)

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
        with self._changed:
            self._wait(
                lambda: self._waiting or self._shutdown or consumers in self._stopped, deadline
            )
            if not is_wanted():
                return None
            if not self._waiting:
                if self._shutdown:
                    raise ShutDown
                return None
            return self._first(most, once)

    def _first(self, most: int, once: bool) -> Received:
        delivery = uuid.uuid4().hex
        loaded: list[Any] = []
        held: list[Items] = []
        failure: Exception | None = None
        while self._waiting and len(held) < most:
            item = self._waiting[0]
            try:
                value = loads(item.value) if item.is_pickled else item.value
            except BaseException as error:
                if is_interrupt(error):
                    raise
                if loaded:
                    break
                failure = unloadable(error)
            else:
                loaded.append(value)
            name = f"{delivery}:{len(held):09}"
            self._taken[name] = self._waiting.popleft()
            if once:
                self._once.add(name)
            held.append(Items(name, 0, 1))
            if failure is not None:
                break
        self._changed.notify_all()
        return Received(delivery, loaded, held, failure)

    def accept(self, received: Received, *, is_early: bool) -> list[Any]:
        if is_early:
            self.acknowledge(received.held)
        else:
            self._held.add(received.held)
        if received.failure is not None:
            raise received.failure
        return received.items

    def reject(self, received: Received) -> None:
        self.put_back(received.held[0])

    def task_done(self, count: int) -> None:
        self.acknowledge(self._held.finish(count))

    # --- the queue

    def join(
        self,
        deadline: float | None,
        is_wanted: Callable[[], bool] = lambda: True,
        consumers: str = "",
    ) -> bool:
        while True:
            until = clock.monotonic() + LOOK_EVERY
            if deadline is not None:
                until = min(until, deadline)
            with self._changed:
                self._wait(lambda: not self._unfinished or consumers in self._stopped, until)
                if not self._unfinished:
                    return True
            if (deadline is not None and until == deadline) or not is_wanted():
                return False

    def state(self) -> QueueState:
        with self._changed:
            return QueueState(
                self.maxsize,
                len(self._waiting),
                self._unfinished,
                len(self._dead),
                is_shut=bool(self._shutdown),
            )

    def dead_letters(self, most: int) -> list[DeadLetter]:
        with self._changed:
            dead = self._dead[:most]
        letters = []
        for item, error in dead:
            try:
                value = loads(item.value) if item.is_pickled else item.value
            except Exception as failure:
                value = unloadable(failure)
            letters.append(DeadLetter(value, error))
        return letters

    def requeue(self) -> int:
        with self._changed:
            if self._shutdown:
                raise ShutDown
            dead, self._dead = self._dead, []
            self._waiting.extend(item for item, _ in dead)
            self._unfinished += len(dead)
            self._changed.notify_all()
            return len(dead)

    def resize(self, maxsize: int) -> None:
        with self._changed:
            self.maxsize = maxsize
            self._changed.notify_all()

    def shut_down(self, *, immediate: bool) -> None:
        with self._changed:
            self._shutdown = "immediate" if immediate else self._shutdown or "gently"
            if immediate:
                self._unfinished -= len(self._waiting)
                self._waiting.clear()
            self._changed.notify_all()

    def delete(self) -> None:
        with self._changed:
            self._waiting.clear()
            self._taken.clear()
            self._once.clear()
            self._dead.clear()
            self._held = HeldItems()
            self._unfinished, self._shutdown = 0, ""
            self._changed.notify_all()
        with _lock:
            _named.pop(self._id, None)

    # --- for consumers

    @contextmanager
    def consuming(self) -> Iterator[None]:
        yield

    def acknowledge(self, done: Sequence[Items]) -> None:
        with self._changed:
            for items in done:
                self._end(items)

    def fail(self, item: Items, error: str) -> None:
        with self._changed:
            if (failed := self._end(item)) is not None:
                self._dead.append((failed, error))

    def put_back(self, first: Items) -> None:
        delivery = first.delivery.partition(":")[0] + ":"
        with self._changed:
            names = [
                name for name in self._taken if name.startswith(delivery) and name >= first.delivery
            ]
            for name in sorted(names, reverse=True):
                item = self._taken.pop(name)
                if name in self._once:
                    self._once.discard(name)
                    self._unfinished -= 1
                    self._dead.append((item, STOPPED))
                elif self._shutdown == "immediate":
                    self._unfinished -= 1
                else:
                    self._waiting.appendleft(item)
            self._changed.notify_all()

    def stop(self, consumers: str, count: int) -> None:
        with self._changed:
            self._stopped.add(consumers)
            self._changed.notify_all()

    def is_stopped(self, consumers: str) -> bool:
        return consumers in self._stopped

    def _end(self, items: Items) -> _Item | None:
        """Remove an item that was taken; None if the queue was deleted meanwhile."""
        item = self._taken.pop(items.delivery, None)
        self._once.discard(items.delivery)
        if item is not None:
            self._unfinished -= 1
            self._changed.notify_all()
        return item

    def _has_room(self) -> bool:
        return bool(self._shutdown) or not self.maxsize or len(self._waiting) < self.maxsize

    def _wait(self, condition: Callable[[], Any], deadline: float | None) -> bool:
        within = None if deadline is None else max(deadline - clock.monotonic(), 0.0)
        return bool(self._changed.wait_for(condition, within))


def memory_queue(id: str, maxsize: int = 0) -> MemoryQueue:  # noqa: A002
    """Open a queue of this process, which is made if it is not there.

    A queue with a name stays until it is deleted, one without a name as long as it is used.

    Args:
        id: The queue's id.
        maxsize: Most items that may wait; 0: no limit, or that of the queue.

    Raises:
        BackendError: This process exists to run calls: other processes would not see the queue.
        OptionError: The queue is there, with another limit.
    """
    if is_worker():
        raise BackendError(QUEUES_NEED_CLUSTER)
    table = _unnamed if queue_name(id) is None else _named
    with _lock:
        queue = table.get(id)
        if queue is None:
            queue = table[id] = MemoryQueue(id, maxsize)
    if maxsize and not queue.maxsize:
        queue.resize(maxsize)
    if maxsize and queue.maxsize != maxsize:
        raise OptionError(
            f"maxsize={maxsize}: the queue {queue_name(id)!r} is there already, with "
            f"maxsize={queue.maxsize}: leave maxsize out, or delete() the queue first"
        )
    return queue


def _items_of(block: ItemBlock) -> Iterator[_Item]:
    if block.is_joined:
        return (_Item(value, is_pickled=False) for value in loads(block.blobs[0]))
    return (_Item(bytes(blob), is_pickled=True) for blob in block.blobs)
