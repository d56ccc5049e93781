"""The client's outgoing end: batches onto their queues, functions to where workers find them, and messages back.

Guarantees: ``_turn`` makes one command at a time of those that share the connection. Any thread may call.
"""

import contextlib
import threading
import time
from collections.abc import Callable

import redis

from distribute_challenge.execution_backends.celery import presence
from distribute_challenge.execution_backends.celery.calls import SentBatch
from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.direct import DirectLine
from distribute_challenge.execution_backends.celery.keys import FUNCTION_EXPIRY, client_of, function_key
from distribute_challenge.execution_backends.celery.publishing import Message, message_for
from distribute_challenge.log import logger
from distribute_challenge.messages import Batch, FunctionPayload
from distribute_challenge.settings import masked

__all__ = ["RECONNECT_PAUSE", "Publisher"]

RECONNECT_PAUSE = 0.5  # Seconds between attempts to reach a broker that went away.


class Publisher:
    """Publishes for one client.

    Args:
        url: The broker.
        replies: The list that replies go to.
        places: Where large values lie, for the header of each batch.
    """

    def __init__(self, url: str, replies: str, places: tuple[str, ...]) -> None:
        self._url = url
        self._replies = replies
        self._places = places
        self._turn = threading.Lock()
        self._connection = connect(url)
        self._uploaded: dict[str, float] = {}

    def publish(self, batch: SentBatch, line: DirectLine | None = None) -> None:
        """Send a batch.

        Args:
            batch: What to send.
            line: A line of the caller's own, for the message and its reply; None: those that all share.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        options, function = batch.group.options, batch.group.function
        message = message_for(
            Batch(
                id=batch.id,
                function=function.digest,
                name=function.name,
                arguments=[call.task.arguments for call in batch.calls],
                chunk=batch.calls[0].task.chunk,
                timeout=options.timeout,
                retries=options.retries,
                patience=batch.patience,
                places=self._places,
                client=client_of(batch.id),
                issued=time.time(),
            ),
            queue=options.queue,
            priority=options.priority,
            reply_to=self._replies if line is None else line.key,
        )
        with self._turn:
            self._upload(function)
            batch.message = message  # Before it is sent: whoever takes it back waits for this lock.
            if line is None:
                self._connection.lpush(message.key, message.data)
        if line is not None:
            line.submit(batch, message)

    def publish_in_the_end(self, batch: SentBatch, is_over: Callable[[], bool]) -> None:
        """Send a batch, however long the broker is away, unless all is over."""
        while not is_over():
            try:
                self.publish(batch)
                return
            except (redis.RedisError, OSError) as error:
                logger.warning("cannot send to %s, trying again: %s", masked(self._url), error)
                time.sleep(RECONNECT_PAUSE)

    def take_back(self, message: Message) -> bool:
        """Take a message off its queue; False if a worker has it, or nobody can tell."""
        try:
            with self._turn:
                return bool(self._connection.lrem(message.key, 1, message.data))  # type: ignore[arg-type]
        except redis.RedisError:
            return False

    def forget(self, function: FunctionPayload) -> None:
        """A worker did not find a function: it is sent again with the next batch."""
        self._uploaded.pop(function.digest, None)

    def workers(self) -> list[presence.WorkerPresence]:
        """Who is there."""
        with self._turn:
            return presence.workers(self._connection)

    def wake_receiver(self) -> None:
        """Send the client itself an empty reply."""
        with contextlib.suppress(redis.RedisError), self._turn:  # Else it does not wait either.
            self._connection.rpush(self._replies, b"")

    def close(self) -> None:
        """Cut the connection."""
        self._connection.close()

    def _upload(self, function: FunctionPayload) -> None:
        """Make sure that workers find the function, and go on finding it."""
        now = time.monotonic()
        uploaded = self._uploaded.get(function.digest)
        if uploaded is None or now - uploaded > FUNCTION_EXPIRY / 2:
            self._connection.set(function_key(function.digest), function.payload, ex=FUNCTION_EXPIRY)
            self._uploaded[function.digest] = now
