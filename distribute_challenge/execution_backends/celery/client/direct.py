"""Calls whose caller waits at once: the caller's own thread reads the reply from Redis.

The message and the request for the reply are sent together, over a connection that only this caller
uses. No other thread has to wake up, read the reply and wake the caller, which would cost a tenth
of the time of a call that does nothing. The receiver thread takes over in all other cases (a slow
call, a caller whose timeout is over, a caller that never waits), and reads the same list.

A connection and its reply list are called a direct connection here.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.folding import fold
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch

__all__ = ["DirectCall", "DirectConnection", "DirectConnections"]

# Direct connections of one client; further callers share the connections of all other calls.
MOST = 8
FIRST_WAIT = 1.0  # Seconds to wait at a direct connection; longer calls gain nothing by it.
ANSWER_WITHIN = 5.0  # Seconds after that in which Redis must answer.


class DirectCall(Call):
    """The future of a call whose reply comes over a direct connection; `Client.send_now` makes it.

    Attributes:
        connection: The connection, until a thread claims it to read the reply; None after that.
    """

    direct: "DirectConnection | None" = None

    def result(self, timeout: float | None = None) -> Any:
        try:
            direct = self.direct
            if direct is not None:
                began = clock.monotonic()
                try:
                    if direct.claim(self):
                        direct.wait(timeout)
                finally:
                    direct.let_go()
                if timeout is not None:
                    timeout = max(0.0, timeout - (clock.monotonic() - began))
            return super().result(timeout)
        except BaseException as error:
            fold(error)
            raise


class DirectConnection:
    """A connection and a reply list, for one call at a time.

    Args:
        connections: The connections of the client that it belongs to.
        client: Knows where to connect.

    Attributes:
        key: Key of the reply list.
    """

    def __init__(self, connections: "DirectConnections", client: redis.Redis) -> None:
        self._connections = connections
        self._connection = PipelinedConnection(client)
        self.key = connections.new_key()
        self._call: Any = None
        self._batch: SentBatch | None = None
        self._since = 0.0
        self._reader: int | None = None

    def submit(self, batch: SentBatch, message: Message) -> None:
        """Put the message of a single call on its queue, and ask for the reply.

        Args:
            batch: The batch, with one call.
            message: The message made from it.

        Raises:
            redis.RedisError: The broker did not take it.
        """
        (self._call,), self._batch, self._since = batch.calls, batch, clock.monotonic()
        wait = min(FIRST_WAIT, batch.group.options.queue_timeout or FIRST_WAIT)
        self._connection.send(("LPUSH", message.key, message.data), ("BLPOP", self.key, wait))
        self._connection.read()
        self._call.direct = self

    def claim(self, call: DirectCall | None = None) -> bool:
        """Become the reader of this connection.

        Args:
            call: The call that the connection must still serve; None: any.

        Returns:
            False if another thread reads here, or the connection serves another call by now.
        """
        with self._connections.lock:
            if (
                self._call is None
                or self._call.direct is not self
                or call not in (None, self._call)
            ):
                return False
            self._call.direct = None
            self._reader = threading.get_ident()
            return True

    def let_go(self) -> None:
        """Stop reading, if this thread is the reader still: it was interrupted, or its time is over.

        The receiver thread reads on.
        """
        if self._reader == threading.get_ident():
            self._connections.abandon(self)

    def wait(self, timeout: float | None) -> None:
        """Wait for the reply in the caller's own thread.

        The call may be unfinished afterwards: then the receiver thread waits for its reply.

        Args:
            timeout: Seconds; None: as long as the reply was asked for.
        """
        over = False
        until = None if timeout is None else clock.monotonic() + timeout
        try:
            # Lines that the call prints come before its reply.
            while not over and (
                until is None or self._connection.readable(max(0.0, until - clock.monotonic()))
            ):
                over = self.read()
        except redis.RedisError:
            self.leave()

    def read(self, *, wait: bool = True) -> bool:
        """Read the reply that was asked for.

        Args:
            wait: Whether to wait for it, for as long as it was asked for.

        Returns:
            True if there is no more to do here, and the connection has been given back.
        """
        try:
            if not self._connection.owed:
                return self.leave()  # A caller was interrupted just after it had read the answer.
            if not wait and not self._connection.readable(0.0):
                if clock.monotonic() - self._since < FIRST_WAIT + ANSWER_WITHIN:
                    return False
                # Redis must have answered by now: the answer is lost.
                self._connection.close()
                return self.leave()
            found = self._connection.read()
            if found is None:
                return self.leave()
            if self._connections.take(self.key, found[1]) is not self._batch:
                # The reply is for an earlier call, and of no use any more; or it has lines that the
                # call has printed.
                if not wait:
                    return self.leave()  # The receiver reads the next reply as soon as it comes.
                self._connection.send(("BLPOP", self.key, FIRST_WAIT))
                self._since = clock.monotonic()
                return False
        except redis.RedisError:
            return self.leave()  # The receiver connects again, or fails the call.
        # If the call was sent again, that reply comes to the receiver.
        self._connections.give_back(self)
        return True

    def leave(self) -> bool:
        """Leave the list to the receiver, for as long as the message is out.

        Returns:
            True always, as `read` does when the connection is given back.
        """
        self._connections.leave(self.key, self._batch)
        self.key = self._connections.new_key()
        self._connections.give_back(self)
        return True

    def is_forgotten(self) -> bool:
        """Tell whether the time to wait for the reply is long over.

        If no thread has claimed the connection by then, its caller does not wait for the call.
        """
        return clock.monotonic() - self._since > 2 * FIRST_WAIT

    def be_unread(self) -> None:
        """Have no reader from now on."""
        self._reader = None

    def forget(self) -> None:
        """Drop the last call, which may hold large arguments and a large result."""
        self._call = self._batch = self._reader = None

    def close(self) -> None:
        """Close the connection; answers that it still owes are given up."""
        self._connection.close()


class DirectConnections:
    """The direct connections of one client, which lends them to callers of `Client.send_now`.

    Args:
        url: The broker.
        replies: Key of the client's own list; the lists of the connections are named after it.
        take: Takes in a reply, and returns the message that it answers.
        wake: Makes the receiver thread read `keys` again.

    Attributes:
        lock: Held while a connection goes from one reader to another.
        take: As given.
        keys: Lists that the receiver must read itself, with the message that each waits for.

    Guarantees: safe for threads.
    """

    def __init__(
        self,
        url: str,
        replies: str,
        take: Callable[[str, bytes], SentBatch | None],
        wake: Callable[[], None],
    ) -> None:
        self.lock = threading.Lock()
        self.take = take
        self.keys: dict[str, SentBatch] = {}
        self._client = connect(url, answer_within=FIRST_WAIT + ANSWER_WITHIN)
        self._replies = replies
        self._wake = wake
        self._numbers = itertools.count(1)
        self._all: list[DirectConnection] = []
        self._idle: list[DirectConnection] = []
        self._unread: list[DirectConnection] = []
        self._closed = False

    def new_key(self) -> str:
        """Return the key of a list that was never used."""
        return f"{self._replies}:{next(self._numbers)}"

    def lists(self) -> list[str]:
        """Return the keys of all lists that a reply may still come to."""
        with self.lock:
            return [*self.keys, *(direct.key for direct in self._all)]

    @contextmanager
    def borrowed(self) -> Iterator[DirectConnection | None]:
        """Lend a connection to submit a call over; None if all are in use.

        The connection is given back when the reply is there, not at the end of the ``with`` block.
        """
        direct = self._borrow()
        try:
            yield direct
        except BaseException:
            if direct is not None:
                direct.close()
                direct.leave()  # An interrupted caller may have sent the message.
            raise

    def give_back(self, direct: DirectConnection) -> None:
        """Take back a connection that no reply is expected from."""
        with self.lock:
            direct.forget()
            self._idle.append(direct)

    def abandon(self, direct: DirectConnection) -> None:
        """Take over a connection that no caller waits at, though a reply is expected from it."""
        with self.lock:
            direct.be_unread()
            self._unread.append(direct)

    def leave(self, key: str, batch: SentBatch | None) -> None:
        """Have the receiver thread read a list, for as long as a message is out.

        Args:
            key: Key of the list.
            batch: The message whose reply comes to it; None: no reply is expected.
        """
        if batch is not None and batch.message is not None and not self._closed:
            with self.lock:
                self.keys = {**self.keys, key: batch}
            self._wake()

    def look_after(self) -> None:
        """Read the connections that no caller waits at; the receiver thread calls it once a second."""
        with self.lock:
            self.keys = {
                key: batch for key, batch in self.keys.items() if batch.message is not None
            }
            busy = [direct for direct in self._all if direct not in self._idle]
        for direct in busy:
            if direct.is_forgotten() and direct.claim():
                self.abandon(direct)
        with self.lock:
            unread, self._unread = self._unread, []
        for direct in unread:
            if not direct.read(wait=False):
                self.abandon(direct)

    def _borrow(self) -> DirectConnection | None:
        with self.lock:
            if self._idle:
                return self._idle.pop()
            if len(self._all) == MOST:
                return None
            self._all.append(DirectConnection(self, self._client))
            return self._all[-1]

    def close(self) -> None:
        """Close all connections, which ends all waiting."""
        self._closed = True
        for direct in self._all:
            direct.close()
        self._client.close()
