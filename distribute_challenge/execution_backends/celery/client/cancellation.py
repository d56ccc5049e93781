"""The client's end of cancelling: takes messages off their queues, and tells workers what to stop.

A cancelled call may wait in a queue, be on its way to a worker, or run on one, and a worker may be
connecting just now. So while the message is out, the client repeatedly does both: it looks into the
queue, and sends a command to all workers. Workers that do not have the message ignore the command.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.commands import CANCEL, CancelCommand
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.broker.keys import replies_key
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.broker.remote_control import (
    channel,
    control_message,
)
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring

__all__ = ["AGAIN", "TRIED_FOR", "Cancellation", "farewell", "in_background", "publish"]

AGAIN = 1.0  # Seconds between two commands for the same message,
TRIED_FOR = 5.0  # and for how long they are repeated. A worker remembers a command for longer.
ANSWER_WITHIN = 1.0  # Seconds for Redis to answer a farewell, so that Ctrl+C takes no longer.
# Seconds for replies that were on their way when workers got the command; a reply that comes later
# makes the list anew, which then stays in Redis until it expires.
LAST_WORDS = 0.1
AT_ONCE = 100  # Messages to remove in one round trip: Redis may search a whole queue for each.


class Cancellation:
    """Stops the cancelled calls of one client, in a thread that starts with the first of them.

    Args:
        url: The broker.
        keyring: Signs commands.
        take_back: Takes a message off its queue, and queues its other calls again; False if the
            message is not there.
        is_out: Tells whether a message still waits for its reply.

    Guarantees: ``_changed`` protects ``_batches``; nothing waits for Redis under it, so `stop` does
    not either.
    """

    def __init__(
        self,
        url: str,
        keyring: Keyring,
        take_back: Callable[[SentBatch], bool],
        is_out: Callable[[SentBatch], bool],
    ) -> None:
        self._connection = connect(url, keyring=keyring)
        self._take_back = take_back
        self._is_out = is_out
        self._changed = Condition()
        self._batches: dict[SentBatch, float] = {}
        self._is_new = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def stop(self, batch: SentBatch) -> bool:
        """Have the cancelled calls of a sent message stopped.

        Returns:
            True always: the calls will give no results.
        """
        with self._changed:
            self._batches[batch] = clock.monotonic() + TRIED_FOR
            self._is_new = True
            self._changed.notify()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name="distribute_challenge cancelling", daemon=True
                )
                self._thread.start()
        return True

    def close(self) -> None:
        """End the thread; `farewell` stops the calls that are still out."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._connection.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not (self._is_new or self._closed):
                    self._changed.wait(AGAIN if self._batches else None)
                if self._closed:
                    return
                self._is_new = False
                now = clock.monotonic()
                for batch in [
                    each
                    for each, until in self._batches.items()
                    if until < now or not self._is_out(each)
                ]:
                    del self._batches[batch]
                batches = list(self._batches)
            self._see_to(batches)

    def _see_to(self, batches: list[SentBatch]) -> None:
        unwanted = {}
        for batch in batches:
            numbers = [number for number, call in enumerate(batch.calls) if call.cancelled()]
            if numbers and not self._take_back(batch):
                is_whole = not batch.unfinished or batch.calls[0].task.chunk
                unwanted[batch.id] = None if is_whole else numbers
        if not unwanted:
            return
        try:
            publish(self._connection, CancelCommand(unwanted))
        except (redis.RedisError, OSError) as error:
            logger.warning("cannot tell workers what was cancelled: %s", error)


def publish(connection: Broker, command: CancelCommand) -> None:
    """Send a command to all workers.

    Args:
        connection: The connection to the broker.
        command: The calls to stop.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """
    text = command.text(connection.keyring, connection.clock.now())
    connection.publish(channel(connection), control_message(CANCEL, {"command": text}))


def farewell(
    url: str,
    keyring: Keyring,
    client: str,
    messages: Sequence[Message],
    lists: Iterable[str],
    receiver: threading.Thread,
) -> threading.Thread | None:
    """Remove all that a closed client has in Redis, and have workers stop its calls.

    This happens in a thread and over a connection of its own: the client's connections may hang,
    and `Client.close` waits for a limited time only.

    Args:
        url: The broker.
        keyring: Signs the command; the file or variable that it was made from may be gone by now.
        client: The client's id.
        messages: The messages that still wait for a reply.
        lists: Keys of reply lists besides the client's own.
        receiver: The client's receiver thread, which is ending. `farewell` wakes it, and waits for
            it before it removes the client's presence.

    Returns:
        The thread, which ends when all is done or Redis does not answer; None if it has been done
        already.
    """
    replies = replies_key(client)

    def say() -> None:
        with (
            contextlib.suppress(redis.RedisError, OSError),
            connect(url, answer_within=ANSWER_WITHIN, keyring=keyring) as connection,
        ):
            # The command comes first: running calls take longest to end, and workers do not begin
            # messages of this client that they take from now on.
            publish(connection, CancelCommand(client=client))
            connection.rpush(replies, b"")
            waiting = iter(messages)
            while some := list(islice(waiting, AT_ONCE)):
                with connection.pipeline(transaction=False) as pipe:
                    for message in some:
                        pipe.lrem(message.key, 1, message.data)
                    pipe.execute()
            receiver.join(ANSWER_WITHIN / 2)
            if messages:
                time.sleep(LAST_WORDS)
            connection.delete(replies, *lists)
            presence.leave(connection, presence.ClientPresence, client)

    return in_background(say)


def in_background(what: Callable[[], None]) -> threading.Thread | None:
    """Call a function that may wait for Redis in a daemon thread, which lets the process end.

    Args:
        what: The function.

    Returns:
        The thread. None if the function has been called already: Python 3.12.0 to 3.12.2 start no
            thread when the interpreter ends.
    """
    thread = threading.Thread(target=what, name="distribute_challenge farewell", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        what()
        return None
    return thread
