"""The queues that one backend has open: keeps their leases, and removes those without a name.

    Queue ──> SharedQueue ──> QueueRecord ──> Redis
                  ^
    a thread ─────┘ once in a third of a lease: renews what is held here, and gives back what an
                    interrupted `get` may have taken

Guarantees:

- Any thread may call. ``_changed`` protects the table of queues, and whether the thread runs.
- The thread runs while this process holds an item, or has a queue without a name.
- The child of a fork is another holder: items that its parent holds stay the parent's, and so does
  a queue without a name.
"""

import threading
import uuid
from collections.abc import Callable, Sequence

import redis

from distribute_challenge.core.condition import Condition
from distribute_challenge.core.forks import renew_in_children
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.celery.broker.connection import (
    check_reachable,
    connect,
)
from distribute_challenge.execution_backends.celery.broker.keys import QUEUE_EXPIRY
from distribute_challenge.execution_backends.celery.broker.queues import QueueRecord
from distribute_challenge.execution_backends.celery.client.cancellation import in_background
from distribute_challenge.execution_backends.celery.client.queue_steps import LONGEST_WAIT
from distribute_challenge.execution_backends.celery.client.shared_queue import SharedQueue
from distribute_challenge.execution_backends.item_queue import queue_name
from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["ClientQueues"]

LEASE = 30.0  # Seconds; a guess.
SHORTEST_PAUSE = 0.1  # Seconds between two renewals.
CLOSE_WITHIN = 1.0  # Seconds, of the second and a half that a backend may take to close.
ANSWER_WITHIN = 5.0  # Seconds for an answer after the longest wait.


class ClientQueues:
    """The queues of items that one backend has open.

    Args:
        url: The broker.
        check: Raises an error if the cluster died; called when the broker does not answer.

    Attributes:
        url: As given.

    Raises:
        BrokerUnreachableError: The broker does not answer.
    """

    def __init__(self, url: str, check: Callable[[], None]) -> None:
        check_reachable(url)
        self.url = url
        self._check = check
        self._connection = connect(url, answer_within=LONGEST_WAIT + ANSWER_WITHIN)
        self._queues: dict[str, SharedQueue] = {}
        self.renew_locks()
        renew_in_children(self)

    def renew_locks(self) -> None:
        self._holder = uuid.uuid4().hex
        self._opening = threading.Lock()
        self._changed = Condition()
        self._is_urgent = False
        self._thread: threading.Thread | None = None
        self._closing = False
        for queue in self._queues.values():
            queue.begin_anew(self._holder)

    def open(self, id: str, maxsize: int, lease: float | None, *, own: bool) -> SharedQueue:  # noqa: A002
        """Open a queue, which is made if it is not there.

        Args:
            id: The queue's id.
            maxsize: Most items that wait; 0: no limit, or that of the queue.
            lease: Seconds after which the items of a lost process are delivered again; None: what
                the queue has, or `LEASE`.
            own: Whether the queue ends with this client.

        Raises:
            BrokerUnreachableError: The broker does not answer.
            OptionError: The queue is there, with another limit or lease.
        """
        with self._opening:
            queue = self._queue(id)
            queue.open(maxsize, lease or LEASE, QUEUE_EXPIRY if own else 0)
            self._add(id, queue)
        for what, given, is_so in (
            ("maxsize", maxsize, queue.maxsize),
            ("lease", lease, queue.lease),
        ):
            if given and given != is_so:
                raise OptionError(
                    f"{what}={given:g}: the queue {queue_name(id)!r} is there already, with "
                    f"{what}={is_so:g}: leave {what} out, or delete() the queue first"
                )
        return queue

    def attach(self, id: str) -> SharedQueue:  # noqa: A002
        """Return a queue that ends with another client, and may have ended.

        Raises:
            BrokerUnreachableError: The broker does not answer.
        """
        with self._opening:
            queue = self._queue(id)
            if id not in self._queues:
                queue.attach(LEASE)
                self._add(id, queue)
            return queue

    def close(self) -> None:
        """Give back what this process holds, and delete its queues without a name.

        Takes no longer than `CLOSE_WITHIN` seconds, whatever Redis does. What is not given back
        then is delivered again after the lease.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            queues = list(self._queues.values())
        for queue in queues:
            queue.end_waits()
        for thread in filter(None, [in_background(lambda: self._leave(queues))]):
            thread.join(CLOSE_WITHIN)
        self._connection.close()

    def _leave(self, queues: Sequence[SharedQueue]) -> None:
        for queue in queues:
            try:
                queue.close()
            except (redis.RedisError, OSError) as error:
                logger.debug("a queue at %s was not closed: %s", masked(self.url), error)
                break  # Redis is away.

    def _queue(self, id: str) -> SharedQueue:  # noqa: A002
        return self._queues.get(id) or SharedQueue(
            QueueRecord(self._connection, id),
            self.url,
            self._holder,
            self._check,
            self._care,
        )

    def _add(self, id: str, queue: SharedQueue) -> None:  # noqa: A002
        with self._changed:
            self._queues[id] = queue

    # --- the thread

    def _care(self, queue: SharedQueue, *, at_once: bool = False) -> None:
        """Have the thread look after a queue; start the thread, unless it runs."""
        with self._changed:
            self._queues[queue.id] = queue
            if at_once:
                self._is_urgent = True
                self._changed.notify_all()
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(
                    target=self._run, name="distribute_challenge queues", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while queues := self._needed():
            for queue in queues:
                try:
                    queue.look_after()
                except (redis.RedisError, OSError) as error:
                    logger.warning(
                        "cannot renew the leases of a queue at %s, trying again: %s",
                        masked(self.url),
                        error,
                    )

    def _needed(self) -> list[SharedQueue]:
        """Wait until the next renewal is due; no queues if the thread is not needed any more."""
        with self._changed:
            pause = min((queue.lease for queue in self._queues.values()), default=LEASE) / 3
            self._changed.wait_for(
                lambda: self._closing or self._is_urgent,
                max(SHORTEST_PAUSE, min(pause, QUEUE_EXPIRY / 3)),
            )
            self._is_urgent = False
            for id, queue in list(self._queues.items()):  # noqa: A001
                if queue.is_abandoned and not queue.needs_renewal():
                    del self._queues[id]
            needed = [queue for queue in self._queues.values() if queue.needs_renewal()]
            if self._closing or not needed:
                self._thread = None
                return []
            return needed
