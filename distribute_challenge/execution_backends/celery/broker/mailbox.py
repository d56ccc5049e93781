"""Ask workers questions by Celery's remote control, without loading Celery.

    client           Redis                          worker
    ask ── PUBLISH ► /<database>.celery.pidbox ───► main process, even if its child processes work
        ◄─ BRPOP ─── a list for the answers ◄────── {"worker@host": its answer}
                     (found by way of a binding)

Answers are not signed, so each may be any bytes: an answer that does not have the form of a
worker's answer is left out and counted.
"""

import json
import socket
import uuid
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar

from distribute_challenge.core import clock
from distribute_challenge.core.schema import text
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.publishing import PRIORITY_SEPARATOR
from distribute_challenge.execution_backends.celery.broker.remote_control import (
    channel,
    control_message,
)

__all__ = ["EXPIRY", "Answers", "ask", "bindings_key"]

T = TypeVar("T")

# Seconds. A worker that has started meanwhile hears the next question; a slow one answers twice.
ASK_AGAIN = 1.0
EXPIRY = 10  # Seconds that late answers stay, and the binding of a client that was killed.
LONGEST_NAME: Final = 256  # Characters of a worker's name.


class Answers(dict[str, T]):
    """The answers of workers, by the workers' names, in the order in which they arrived.

    A name may contain any characters.

    Attributes:
        left_out: How many answers did not have the form of a worker's answer, by what was wrong
            with them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left_out: Counter[str] = Counter()


def ask(
    connection: Broker,
    method: str,
    arguments: Mapping[str, Any],
    read: Callable[[Any], T],
    *,
    names: Collection[str] | None = None,
    wanted: int | None = None,
    timeout: float,
) -> Answers[T]:
    """Ask workers, again and again until enough have answered.

    All of it stays in Redis only for seconds, however many workers answer and when, as late answers
    find no binding any more.

    Args:
        connection: The connection to the workers' broker, which returns answers as bytes.
        method: Name of the control command.
        arguments: Its arguments, as JSON has them.
        read: Extracts the result from a worker's answer. For an answer that no worker gives, it
            raises `ValueError` with a text of its own, which users get to see.
        names: Workers to ask, in full as in ``worker@host``; None: all.
        wanted: How many answers are enough. None: those of all of ``names``; without names, one
            from each worker that receives the question, and at least one. Only a missing worker
            makes this wait.
        timeout: Seconds to wait for answers. Workers that start in that time are asked, too.

    Raises:
        redis.RedisError: Redis cannot be reached, or refuses.
    """
    answers: Answers[T] = Answers()
    if wanted is None and names is not None:
        wanted = len(names)
    if wanted == 0:
        return answers  # Celery would take an empty list of names for all workers.
    deadline = clock.monotonic() + timeout
    mailbox = _Mailbox(connection)
    try:
        while clock.monotonic() < deadline:
            heard = mailbox.put(method, arguments, names, timeout)
            enough = max(heard, 1) if wanted is None else wanted
            ask_again = min(deadline, clock.monotonic() + ASK_AGAIN)
            while len(answers) < enough and (left := ask_again - clock.monotonic()) > 0:
                if (answer := mailbox.next_answer(left)) is not None:
                    try:
                        name, what = _parts(answer, names)
                        answers.setdefault(name, read(what))
                    except ValueError as error:
                        answers.left_out[str(error)] += 1
            if len(answers) >= enough:
                break
    finally:
        mailbox.close()
    return answers


def _parts(answer: bytes, names: Collection[str] | None) -> tuple[str, Any]:
    """Return the name of the worker that answers, and its answer.

    Raises:
        ValueError: The answer does not have the form of a worker's, or its worker was not asked.
    """
    try:
        said = json.loads(b64decode(json.loads(answer)["body"]))
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError("not in the form that Celery gives to answers") from None
    if isinstance(said, dict) and len(said) == 1:
        ((name, what),) = said.items()
        if text(name) and 0 < len(name) <= LONGEST_NAME:
            if names is None or name in names:
                return name, what
            raise ValueError("from a worker that was not asked")
    raise ValueError("without the name of one worker")


def bindings_key() -> str:
    """Return the set in Redis with the bindings of this host's questions, named as in kombu."""
    return f"_kombu.binding.{_exchange()}"


def _exchange() -> str:
    # A worker remembers each exchange that it has answered to, so each host has one, and not each
    # question.
    return f"distribute_challenge.ping.{socket.gethostname()}"


class _Mailbox:
    """A list for answers, and its binding to an exchange, as kombu keeps them in Redis.

    `ask` makes one for each question.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection
        self._ticket = str(uuid.uuid4())
        self._exchange = _exchange()
        self._replies = f"{self._exchange}.{self._ticket}"
        self._bindings = bindings_key()
        self._binding = PRIORITY_SEPARATOR.join([self._ticket, "", self._replies])

    def put(
        self,
        method: str,
        arguments: Mapping[str, Any],
        names: Collection[str] | None,
        timeout: float,
    ) -> int:
        """Publish the question; return how many workers received it, asked by name or not."""
        way_back = {
            "ticket": self._ticket,
            "reply_to": {"exchange": self._exchange, "routing_key": self._ticket},
        }
        expires = self._connection.clock.ask_if_old(self._connection) + timeout
        question = control_message(method, arguments, names=names, answer=way_back, expires=expires)
        with self._connection.pipeline(transaction=False) as pipe:
            pipe.sadd(self._bindings, self._binding)
            pipe.expire(self._bindings, EXPIRY)
            pipe.publish(channel(self._connection), question)
            *_, heard = pipe.execute()
        return int(heard)

    def next_answer(self, timeout: float) -> bytes | None:
        """Return the next answer as it lay in Redis; None if none arrives in time."""
        # Redis takes 0 as no limit.
        found: Any = self._connection.brpop([self._replies], timeout=max(timeout, 0.01))
        return None if found is None else found[1]

    def close(self) -> None:
        with self._connection.pipeline(transaction=False) as pipe:
            pipe.srem(self._bindings, self._binding)
            # Left to expire, because a worker that has just read the binding would make a deleted
            # list again, and that list would stay.
            pipe.lpush(self._replies, b"")
            pipe.expire(self._replies, EXPIRY)
            pipe.execute()
