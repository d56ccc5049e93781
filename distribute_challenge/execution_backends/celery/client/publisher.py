"""The client's outgoing end: sends batches, uploads functions, and takes messages back.

Guarantees: ``_turn`` lets one command at a time use the shared connection. Any thread may call.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable

import redis

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.messages import LIFETIME, Batch, FunctionPayload
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import (
    connect,
    reconnect_pause,
    translate,
)
from distribute_challenge.execution_backends.celery.broker.keys import (
    FUNCTION_EXPIRY,
    function_key,
    sent_key,
)
from distribute_challenge.execution_backends.celery.broker.publishing import Message, message_for
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.direct import DirectConnection
from distribute_challenge.execution_backends.celery.client.whereabouts import are_held, are_nowhere
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.settings import masked

__all__ = ["Publisher"]

FULL_FOR = 5.0  # Seconds for which Redis may have no memory for a message before its calls fail.

# A message with `at_most_once` leaves a mark: a client that does not know whether the message has
# arrived can send it again.
_PUSH_ONCE = (
    '\nif redis.call("SET", KEYS[2], "", "NX", "EX", ARGV[2]) '
    'then redis.call("LPUSH", KEYS[1], ARGV[1]) end\n'
)


class Publisher:
    """Sends messages and functions to Redis for one client, and takes messages back.

    Args:
        url: The broker.
        keyring: Signs messages and functions.
        client: The client's id.
        replies: Key of the list that replies go to.
        places: Names of the stores of large values, for the header of each batch.
        shows_logs: Whether workers are to send what calls print.
    """

    def __init__(
        self,
        url: str,
        keyring: Keyring,
        client: str,
        replies: str,
        places: tuple[str, ...],
        *,
        shows_logs: bool = False,
    ) -> None:
        self._url = url
        self._client = client
        self._replies = replies
        self._places = places
        self._root = logging.getLogger() if shows_logs else None
        self._turn = threading.Lock()
        self._connection = connect(url, keyring=keyring)
        self._keyring = keyring
        self._uploaded: dict[str, float] = {}
        self._refused_since: float | None = None
        self._refused_for = settings.broker_timeout()  # A replica may be taking over, say.

    def publish(self, batch: SentBatch, direct: DirectConnection | None = None) -> None:
        """Send a batch.

        Args:
            batch: The batch.
            direct: A connection of the caller's own, for the message and its reply; None: use the
                connection and the reply list that all calls share.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        options, function = batch.group.options, batch.group.function
        message, reply_to = batch.message, self._replies if direct is None else direct.key
        is_second_try = message is not None
        if message is None:
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
                    client=self._client,
                    reply_to=reply_to,
                    issued=self._connection.clock.now(),
                    at_most_once=options.at_most_once,
                    stays=batch.group.key.is_inner,
                    following=batch.parts(),
                    logs=None if self._root is None else self._root.level,
                ),
                queue=options.queue,
                priority=options.priority,
                keyring=self._keyring,
            )
        batch.pushed, batch.reply_to, batch.is_held = None, reply_to, self.is_held
        try:
            with self._turn:
                for group in (batch.group, *(group for group, _ in batch.following)):
                    self._upload(group.function)
                # Before it is sent: `take_back` waits for this lock.
                batch.message = message
                if direct is None:
                    self._push(message, once=options.at_most_once, is_second_try=is_second_try)
            if direct is not None:
                direct.submit(batch, message)
        finally:
            batch.pushed = clock.monotonic()

    def publish_in_the_end(
        self, batch: SentBatch, is_over: Callable[[], bool]
    ) -> SystemFailureError | None:
        """Send a batch, however long the broker is away, unless the batch is over.

        Args:
            batch: The batch.
            is_over: Tells whether the client no longer waits for the batch.

        Returns:
            None if the batch was sent or is over; else why Redis, which answers, does not take it:
                it has been out of memory for `FULL_FOR` seconds, say.
        """
        while not is_over():
            try:
                self.publish(batch)
                self._refused_since = None
                break
            except redis.ResponseError as error:
                now = clock.monotonic()
                if self._refused_since is None:
                    logger.warning("%s takes no calls, trying again: %s", masked(self._url), error)
                    self._refused_since = now
                patience = (
                    FULL_FOR if isinstance(error, redis.OutOfMemoryError) else self._refused_for
                )
                if now - self._refused_since > patience:
                    return translate(self._url, error)
            except (redis.RedisError, OSError) as error:
                logger.warning("cannot send to %s, trying again: %s", masked(self._url), error)
            time.sleep(reconnect_pause())
        return None

    def _push(self, message: Message, *, once: bool, is_second_try: bool) -> None:
        if once:
            self._connection.run(
                _PUSH_ONCE, (message.key, sent_key(message.tag)), message.data, int(LIFETIME)
            )
        elif not is_second_try or are_nowhere(self._connection, [message])[0] == [True]:
            self._connection.lpush(message.key, message.data)

    def take_back(self, message: Message) -> bool:
        """Take a message off its queue; False if it is not there, or the broker does not say."""
        try:
            with self._turn:
                return bool(self._connection.lrem(message.key, 1, message.data))  # type: ignore[arg-type]
        except redis.RedisError:
            return False

    def is_held(self, message: Message) -> bool:
        """Tell whether a worker has a message; False also if the broker does not say."""
        try:
            with self._turn:
                return are_held(self._connection, [message])[0]
        except redis.RedisError:
            return False

    def forget(self, digest: str) -> None:
        """Upload a function again with the next batch, as a worker did not find it."""
        self._uploaded.pop(digest, None)

    def workers(self) -> list[presence.WorkerPresence]:
        """Return the workers that are present.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        with self._turn:
            return presence.workers(self._connection)

    def wake_receiver(self) -> None:
        """Wake the receiver thread by an empty reply."""
        # Without Redis, the receiver does not wait for replies.
        with contextlib.suppress(redis.RedisError), self._turn:
            self._connection.rpush(self._replies, b"")

    def close(self) -> None:
        """Cut the connection."""
        self._connection.close()

    def _upload(self, function: FunctionPayload) -> None:
        """Upload the function, unless that was done less than half of its expiry time ago."""
        now = clock.monotonic()
        uploaded = self._uploaded.get(function.digest)
        if uploaded is None or now - uploaded > FUNCTION_EXPIRY / 2:
            sealed = self._keyring.seal(Purpose.function(function.digest), [function.payload])
            self._connection.set(function_key(function.digest), sealed, ex=FUNCTION_EXPIRY)
            self._uploaded[function.digest] = now
