"""Calls whose caller waits at once: the reply comes straight into the thread that waits.

Sending and asking for the reply leave in one piece, over a connection that the caller has to
itself, and no other thread has to wake up, read the reply and wake the caller: a tenth of the time
of a call that does nothing. What is out of the ordinary (a slow call, a caller who loses patience
or never waits) is left to the receiver thread, which then reads the same list.
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
from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch

__all__ = ["DirectCall", "DirectLine", "DirectLines"]

MOST_LINES = (
    8  # Callers who wait by themselves; further ones share the connections of all other calls.
)
FIRST_WAIT = 1.0  # Seconds; who waits longer gains nothing by it.
ANSWER_WITHIN = 5.0  # Seconds after that in which Redis has to say so.


class DirectCall(Call):
    """A call whose reply comes over a line of its own.

    Attributes:
        line: The line, until somebody reads from it.
    """

    line: "DirectLine | None" = None

    def result(self, timeout: float | None = None) -> Any:
        try:
            line = self.line
            if line is not None and line.claim(self):
                began = clock.monotonic()
                line.wait(timeout)
                if timeout is not None:
                    timeout = max(0.0, timeout - (clock.monotonic() - began))
            return super().result(timeout)
        except BaseException as error:
            fold(error)
            raise


class DirectLine:
    """A connection, and a list for replies; for one call at a time.

    Args:
        lines: Where it belongs.
        client: Knows where to connect.
    """

    def __init__(self, lines: "DirectLines", client: redis.Redis) -> None:
        self._lines = lines
        self._line = Line(client)
        self.key = lines.new_key()
        self._call: Any = None
        self._batch: SentBatch | None = None
        self._since = 0.0

    def submit(self, batch: SentBatch, message: Message) -> None:
        """Put the message of a single call on its queue, and ask for the reply.

        Raises:
            redis.RedisError: The broker did not take it.
        """
        (self._call,), self._batch, self._since = batch.calls, batch, clock.monotonic()
        wait = min(FIRST_WAIT, batch.group.options.queue_timeout or FIRST_WAIT)
        self._line.send(("LPUSH", message.key, message.data), ("BLPOP", self.key, wait))
        self._line.read()
        self._call.line = self

    def claim(self, call: DirectCall | None = None) -> bool:
        """Become the one who reads here; False if somebody else is, or its call is another by now."""
        with self._lines.lock:
            if self._call is None or self._call.line is not self or call not in (None, self._call):
                return False
            self._call.line = None
            return True

    def wait(self, timeout: float | None) -> None:
        """Wait for the reply in the caller's own thread.

        The call may be unfinished after it: then the receiver goes on.
        """
        over = False
        until = None if timeout is None else clock.monotonic() + timeout
        try:
            # Lines that the call prints come before its reply.
            while not over and (
                until is None or self._line.readable(max(0.0, until - clock.monotonic()))
            ):
                over = self.read()
        except redis.RedisError:
            over = self.leave()
        finally:
            if not over:
                self._lines.abandon(self)

    def read(self, *, wait: bool = True) -> bool:
        """Read what was asked for. True if there is no more to do here: the line is given back.

        Args:
            wait: Whether to wait for it, for as long as it was asked for.
        """
        try:
            if not self._line.owed:
                return self.leave()  # A caller was interrupted just after it had read something.
            if not wait and not self._line.readable(0.0):
                return False
            found = self._line.read()
            if found is None:
                return self.leave()
            if self._lines.take(self.key, found[1]) is not self._batch:
                # It belongs to an earlier call, and is of no use any more; or it brings what the
                # call prints.
                if not wait:
                    return self.leave()  # More may come soon, which the receiver reads at once.
                self._line.send(("BLPOP", self.key, FIRST_WAIT))
                return False
        except redis.RedisError:
            return self.leave()  # The receiver connects again, or says why it cannot.
        # If the call was sent again, the reply to that comes to the receiver.
        self._lines.give_back(self)
        return True

    def leave(self) -> bool:
        """Leave the list to the receiver, for as long as the message is out. Always True."""
        self._lines.leave(self.key, self._batch)
        self.key = self._lines.new_key()
        self._lines.give_back(self)
        return True

    def is_forgotten(self) -> bool:
        """Whether it has its reply, or never will, and nobody came to read it."""
        return clock.monotonic() - self._since > 2 * FIRST_WAIT

    def forget(self) -> None:
        """Keep nothing of the last call: it may hold large arguments and a large result."""
        self._call = self._batch = None

    def close(self) -> None:
        """Cut the connection; what was expected from it is not any more."""
        self._line.close()


class DirectLines:
    """The lines of one client.

    Args:
        url: The broker.
        replies: The client's own list; those of the lines are named after it.
        take: Takes a reply in, and tells which message it answers.
        wake: Makes the receiver thread look at `keys` anew.

    Attributes:
        lock: Held while a line goes from one reader to another.
        keys: Lists that the receiver has to read itself.

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
        self._all: list[DirectLine] = []
        self._idle: list[DirectLine] = []
        self._unread: list[DirectLine] = []
        self._closed = False

    def new_key(self) -> str:
        """Name of a list that was never used."""
        return f"{self._replies}:{next(self._numbers)}"

    def lists(self) -> list[str]:
        """All lists that a reply may still come to."""
        with self.lock:
            return [*self.keys, *(line.key for line in self._all)]

    @contextmanager
    def borrowed(self) -> Iterator[DirectLine | None]:
        """A line to submit a call over, or None if too many are in use.

        It comes back when the reply is there.
        """
        line = self._borrow()
        try:
            yield line
        except BaseException:
            if line is not None:
                line.close()
                line.leave()  # Somebody who was interrupted may have sent the message.
            raise

    def give_back(self, line: DirectLine) -> None:
        """Take a line that nothing is expected from."""
        with self.lock:
            line.forget()
            self._idle.append(line)

    def abandon(self, line: DirectLine) -> None:
        """Take a line that nobody waits at any more, though something is expected from it."""
        with self.lock:
            self._unread.append(line)

    def leave(self, key: str, batch: SentBatch | None) -> None:
        """Have the receiver read a list, for as long as a message is out."""
        if batch is not None and batch.message is not None and not self._closed:
            with self.lock:
                self.keys = {**self.keys, key: batch}
            self._wake()

    def look_after(self) -> None:
        """For the receiver thread, about once a second: see to what nobody else reads."""
        with self.lock:
            self.keys = {
                key: batch for key, batch in self.keys.items() if batch.message is not None
            }
            busy = [line for line in self._all if line not in self._idle]
        for line in busy:
            if line.is_forgotten() and line.claim():
                self.abandon(line)
        with self.lock:
            unread, self._unread = self._unread, []
        for line in unread:
            if not line.read(wait=False):
                self.abandon(line)

    def _borrow(self) -> DirectLine | None:
        with self.lock:
            if self._idle:
                return self._idle.pop()
            if len(self._all) == MOST_LINES:
                return None
            self._all.append(DirectLine(self, self._client))
            return self._all[-1]

    def close(self) -> None:
        """Cut all connections, which ends all waiting."""
        self._closed = True
        for line in self._all:
            line.close()
        self._client.close()
