"""The client's outgoing end: batches onto their queues, functions to where workers find them, and
messages back.

Guarantees: ``_turn`` makes one command at a time of those that share the connection. Any thread may
call.
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
from distribute_challenge.execution_backends.celery.client.direct import DirectLine
from distribute_challenge.execution_backends.celery.client.whereabouts import are_held, are_nowhere
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.settings import masked

__all__ = ["Publisher"]

FULL_FOR = 5.0  # Seconds for which Redis may have no memory for a message before its calls fail.

# What is to be sent once at most leaves a mark: whoever does not know whether it has arrived can
# send it again.
_PUSH_ONCE = """
if redis.call("SET", KEYS[2], "", "NX", "EX", ARGV[2]) then redis.call("LPUSH", KEYS[1], ARGV[1]) end
"""


class Publisher:
    """Publishes for one client.

    Args:
        url: The broker.
        keyring: Signs what goes there.
        client: Its id.
        replies: The list that replies go to.
        places: Where large values lie, for the header of each batch.
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

    def publish(self, batch: SentBatch, line: DirectLine | None = None) -> None:
        """Send a batch.

        Args:
            batch: What to send.
            line: A line of the caller's own, for the message and its reply; None: those that all
                share.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        options, function = batch.group.options, batch.group.function
        message, reply_to = batch.message, self._replies if line is None else line.key
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
                    logs=None if self._root is None else self._root.level,
                ),
                queue=options.queue,
                priority=options.priority,
                keyring=self._keyring,
            )
        batch.pushed, batch.reply_to, batch.is_held = None, reply_to, self.is_held
        try:
            with self._turn:
                self._upload(function)
                batch.message = (
                    message  # Before it is sent: whoever takes it back waits for this lock.
                )
                if line is None:
                    self._push(message, once=options.at_most_once, is_second_try=is_second_try)
            if line is not None:
                line.submit(batch, message)
        finally:
            batch.pushed = clock.monotonic()

    def publish_in_the_end(
        self, batch: SentBatch, is_over: Callable[[], bool]
    ) -> SystemFailureError | None:
        """Send a batch, however long the broker is away, unless all is over.

        Args:
            batch: What to send.
            is_over: Whether nobody waits for it any more.

        Returns:
            Why Redis, which is there, does not take it: it has been out of memory for `FULL_FOR`
                seconds, say.
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
        """Take a message off its queue; False if a worker has it, or nobody can tell."""
        try:
            with self._turn:
                return bool(self._connection.lrem(message.key, 1, message.data))  # type: ignore[arg-type]
        except redis.RedisError:
            return False

    def is_held(self, message: Message) -> bool:
        """Whether a worker has a message; False also if the broker does not say."""
        try:
            with self._turn:
                return are_held(self._connection, [message])[0]
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
        now = clock.monotonic()
        uploaded = self._uploaded.get(function.digest)
        if uploaded is None or now - uploaded > FUNCTION_EXPIRY / 2:
            sealed = self._keyring.seal(Purpose.function(function.digest), [function.payload])
            self._connection.set(function_key(function.digest), sealed, ex=FUNCTION_EXPIRY)
            self._uploaded[function.digest] = now
