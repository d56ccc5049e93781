"""One queue of items, as one process uses it: waits, repeats what failed, keeps what it has taken.

    put ──► blocks ──► QueueRecord.put ──► no room? wait for the token "room"
    take ──► QueueRecord.take ──► nothing there? wait for the token "ready"
                └──► blocks opened, items unpickled ──► accept ──► HeldItems ──► task_done

Guarantees:

- Any thread may call. Threads that wait have a connection each, and use no CPU.
- While the broker is away, `QueueSteps` repeats a step, which has one effect all the same.
- What `take` has taken and not returned, as after Ctrl+C, is given back.
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from distribute_challenge.core.interrupts import is_interrupt
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.core.printable import printable
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.errors import DistributeChallengeError, ForgedError
from distribute_challenge.execution_backends.celery.broker.queue_script_parts import ONCE
from distribute_challenge.execution_backends.celery.broker.queues import (
    Entry,
    QueueGoneError,
    QueueRecord,
    Taken,
)
from distribute_challenge.execution_backends.celery.client.item_blocks import (
    ItemBlocks,
    Known,
    SealedBlock,
)
from distribute_challenge.execution_backends.celery.client.queue_steps import QueueSteps, is_over
from distribute_challenge.execution_backends.held_items import HeldItems
from distribute_challenge.execution_backends.item_queue import (
    DeadLetter,
    ItemQueue,
    Items,
    QueueState,
    Received,
    unloadable,
)
from distribute_challenge.log import logger
from distribute_challenge.settings import attempts

__all__ = ["SharedQueue"]

Care = Callable[..., None]  # With the queue, and ``at_once``.
Take = Callable[[QueueRecord, str, Sequence[str]], Taken]


class SharedQueue(ItemQueue):
    """A queue in Redis, which several processes may use.

    Args:
        record: The queue in Redis.
        url: The broker.
        holder: Id under which this process holds items.
        check: Raises an error if the cluster died.
        care: Called when `look_after` is needed from now on, or at once.

    Attributes:
        id: Id of the queue.
        is_abandoned: Whether no process needs it any more, unless this one uses it again.
    """

    is_abandoned = False

    def __init__(
        self,
        record: QueueRecord,
        url: str,
        holder: str,
        check: Callable[[], None],
        care: Care,
    ) -> None:
        self.id = record.id
        self.maxsize = 0
        self.lease = 0.0
        self._steps = QueueSteps(record, url, check)
        self._care = care
        self._blocks = ItemBlocks(record.connection, record.id)
        self.begin_anew(holder)

    def begin_anew(self, holder: str) -> None:
        """Be another holder: in the child of a fork, which holds nothing."""
        self._holder = holder
        self._held = HeldItems()
        self._interrupted: deque[tuple[str, int, int]] = deque()
        self._consumers: set[object] = set()
        self._is_own = False

    def open(self, maxsize: int, lease: float, expiry: int) -> None:
        """Make the queue, unless it is there; the arguments are those of `QueueRecord.open`.

        A queue that was opened here is made again if it is gone. Any other is shut down then.
        """

        def make(record: QueueRecord, maxsize: int, lease: float) -> None:
            self.maxsize, self.lease = record.open(maxsize, lease, attempts(), expiry)
            self._is_own, self.is_abandoned = expiry > 0, False
            if self._is_own:
                self._care(self)

        self._steps.answered(lambda record: make(record, maxsize, lease))
        self._steps.make = lambda record: make(record, self.maxsize, self.lease)

    def attach(self, lease: float) -> None:
        """Use the queue of another client, as far as it is there.

        Args:
            lease: Seconds between two renewals, times three.
        """
        self.maxsize, self.lease = self.state().maxsize, lease

    # --- items

    def put(self, blocks: Sequence[ItemBlock], deadline: float | None) -> int:
        count = 0
        for block in blocks:
            put = 0
            while put < block.count:
                sealed = self._blocks.seal(block, put)
                while (added := self._put(sealed, deadline)) == 0:
                    if is_over(deadline):
                        return count + put
                    self._steps.wait("room", deadline)
                    self._blocks.renew(sealed)
                put += added
            count += put
        return count

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
        def taken_by(record: QueueRecord, delivery: str, known: Sequence[str]) -> Taken:
            longest = 1 if singly else most
            return record.take(self._holder, delivery, most, known, longest=longest, once=once)

        while is_wanted():
            received, taken = self._take(taken_by, deadline)
            if received.items or received.failure is not None:
                return received
            if taken.is_shut:
                raise ShutDown
            if not taken.entries:
                if is_over(deadline):
                    return None
                self._steps.wait("ready", deadline, taken.until_lost, consumers)
        # It may have taken the token of others that wait.
        self._steps.answered(QueueRecord.signal)
        return None

    def accept(self, received: Received, *, is_early: bool) -> list[Any]:
        if is_early:
            self.acknowledge(received.held)
        else:
            self._held.add(received.held)
            self._care(self)
        if received.failure is not None:
            raise received.failure
        return received.items

    def reject(self, received: Received) -> None:
        self._put_back_soon(received.delivery)

    def task_done(self, count: int) -> None:
        done = self._held.finish(count)
        try:
            self.acknowledge(done)
        except BaseException:
            self._held.restore(done)
            raise

    # --- the queue

    def join(
        self,
        deadline: float | None,
        is_wanted: Callable[[], bool] = lambda: True,
        consumers: str = "",
    ) -> bool:
        while self.state().unfinished > 0:
            if is_over(deadline) or not is_wanted():
                return False
            if self._steps.wait("idle", deadline, consumers=consumers):
                self._steps.answered(QueueRecord.signal)
                break
        return True

    def state(self) -> QueueState:
        found = self._steps.answered(QueueRecord.state)
        return found or QueueState(self.maxsize, 0, 0, 0, is_shut=False)

    def dead_letters(self, most: int) -> list[DeadLetter]:
        entries = self._steps.answered(lambda record: record.dead(most))
        known: Known = {}
        letters = []
        for entry in entries:
            try:
                items = list(self._blocks.open(entry, known, keeps=False))
            except Exception as error:
                items = [unloadable(error)]
            lost = f"each of the {entry.losses} processes that had taken it was lost"
            if entry.losses >= ONCE:
                lost = 'its consumer was lost or stopped, and with ack="early" it had one try'
            # In the place of the delivery's name. It is not signed.
            text = printable(entry.delivery) or lost
            letters += [DeadLetter(item, text) for item in items]
        return letters

    def requeue(self) -> int:
        count = self._steps.answered(QueueRecord.requeue)
        if count is None:
            raise ShutDown
        return count

    def resize(self, maxsize: int) -> None:
        self._steps.answered(lambda record: record.resize(maxsize))
        self.maxsize = maxsize

    def shut_down(self, *, immediate: bool) -> None:
        self._steps.answered(lambda record: record.shut_down(immediate=immediate))

    def delete(self) -> None:
        self._steps.answered(QueueRecord.delete)
        self._held = HeldItems()
        self.abandon()

    def abandon(self) -> None:
        self._is_own, self.is_abandoned = False, True  # It expires, as it is not renewed any more.

    @property
    def is_closed(self) -> bool:
        return self._steps.is_closed

    # --- for consumers

    @contextmanager
    def consuming(self) -> Iterator[None]:
        consumer = object()
        self._consumers.add(consumer)
        self._care(self)
        try:
            yield
        finally:
            self._consumers.discard(consumer)

    def acknowledge(self, done: Sequence[Items]) -> None:
        names = [(items.delivery, items.stop) for items in done]
        self._report(self._steps.answered(lambda record: record.done(self._holder, names)))

    def fail(self, item: Items, error: str) -> None:
        failed = (item.delivery, item.start, error)
        self._report(self._steps.answered(lambda record: record.fail(self._holder, *failed)))

    def put_back(self, first: Items) -> None:
        delivery, _, number = first.delivery.partition(":")
        self._put_back_soon(delivery, int(number), first.start)

    def stop(self, consumers: str, count: int) -> None:
        self._steps.answered(lambda record: record.stop(consumers, count))

    def is_stopped(self, consumers: str) -> bool:
        return self._steps.answered(lambda record: record.is_stopped(consumers))

    # --- what `ClientQueues` asks for

    def needs_renewal(self) -> bool:
        """Whether `look_after` has something to do."""
        return bool(self._is_own or self._held or self._interrupted or self._consumers)

    def look_after(self) -> None:
        """Renew the lease, and give back what an interrupted `take` may have taken.

        Raises:
            redis.RedisError: The broker does not answer, or refuses.
        """
        try:
            while self._interrupted:
                self._steps.record.give_back(self._holder, *self._interrupted[0])
                self._interrupted.popleft()
            self._steps.record.renew(self._holder)
        except QueueGoneError:
            self._interrupted.clear()

    def end_waits(self) -> None:
        """End all waits: the connections are cut soon."""
        self._steps.is_closed = True

    def close(self) -> None:
        """Give back what is held here; delete a queue that ends with this client.

        Raises:
            redis.RedisError: The broker does not answer, or refuses.
        """
        try:
            if self._is_own:
                self._steps.record.delete()
            elif self.needs_renewal():
                self._steps.record.leave(self._holder)
        except QueueGoneError:
            pass

    # --- steps

    def _put(self, block: SealedBlock, deadline: float | None) -> int:
        added = self._steps.answered(lambda record: record.put(*block), deadline)
        if added is None:
            raise ShutDown
        return added

    def _take(self, take: Take, deadline: float | None) -> tuple[Received, Taken]:
        """Take items, if there are any, and return them with what Redis answered."""
        delivery = uuid.uuid4().hex
        known = self._blocks.known()
        try:
            taken = self._steps.answered(
                lambda record: take(record, delivery, list(known)), deadline
            )
            return Received(delivery, *self._loaded(delivery, taken.entries, known)), taken
        except BaseException:
            # Redis may have carried out what was not answered.
            self._put_back_soon(delivery)
            raise

    def _loaded(
        self, delivery: str, entries: Sequence[Entry], known: Known
    ) -> tuple[list[Any], list[Items], Exception | None]:
        """Load the items of a delivery.

        If one cannot be loaded, it is given back, with all that follow. If it is the first one, it
        stays with this process, which can acknowledge it.

        Returns:
            The items; which ones this process holds; and the error of the first one.
        """
        items: list[Any] = []
        held: list[Items] = []
        for number, entry in enumerate(entries):
            try:
                loaded = self._blocks.open(entry, known)
            except ForgedError as error:
                # Nothing that holds the secret has made it.
                keyring = self._steps.record.connection.keyring
                keyring.refusals.note("items of a queue", error, entry.block)
                self.acknowledge([Items(entry.delivery, entry.start, entry.stop)])
                continue
            except DistributeChallengeError:
                if not items:
                    raise
                self._give_back(delivery, number, 0)
                return items, held, None
            before = len(items)
            try:
                # If one cannot be loaded, those before it are there.
                items.extend(loaded)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                stop = entry.start + (len(items) - before if items else 1)
                self._give_back(delivery, number, stop)
                if stop > entry.start:
                    held.append(Items(entry.delivery, entry.start, stop))
                return items, held, None if items else unloadable(error)
            held.append(Items(entry.delivery, entry.start, entry.stop))
        return items, held, None

    def _report(self, lost: int) -> None:
        """Warn of deliveries that this process does not hold any more."""
        if lost:
            logger.warning(
                "%d deliveries of a queue were done when this process did not hold them any more: "
                "it stood still for longer than the lease of %g s, or lost the broker; their items "
                "may be done twice",
                lost,
                self.lease,
            )

    def _give_back(self, delivery: str, first: int, number: int) -> None:
        self._steps.answered(lambda record: record.give_back(self._holder, delivery, first, number))

    def _put_back_soon(self, delivery: str, first: int = 0, number: int = 0) -> None:
        """Have the thread of `ClientQueues` put back what `QueueRecord.give_back` is given."""
        self._interrupted.append((delivery, first, number))
        self._care(self, at_once=True)
