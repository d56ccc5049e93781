"""Asking workers whether they are there, as Celery's remote control does, but without loading Celery.

    client                        Redis                                    worker
    ping > PUBLISH            --> /<database>.celery.pidbox            --> main process, also while its children are busy
         < BRPOP              <-- list of its own, by way of a binding <-- {"worker@host": {"ok": "pong"}}

A health check runs it over and over on machines that have better things to do. Tests ask real workers.
"""

import json
import socket
import uuid
from base64 import b64decode
from collections.abc import Collection
from typing import Final

from distribute_challenge.core import clock
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.publishing import PRIORITY_SEPARATOR
from distribute_challenge.execution_backends.celery.broker.remote_control import channel, control_message

__all__ = ["ping"]

# A worker remembers each exchange that it ever answered to, so there is one for each host, not one for each question.
EXCHANGE: Final = "distribute_challenge.ping.{host}"

# How kombu's Redis transport names the routes of an exchange.
BINDINGS: Final = "_kombu.binding.{exchange}"

ASK_AGAIN = 1.0  # Seconds; who starts meanwhile hears the next question, and who is slow answers twice.
EXPIRY = 10  # Seconds; for answers that come when nobody waits any more, and for the way back if who asked was killed.


def ping(
    connection: Broker, names: Collection[str] | None = None, *, wanted: int | None = None, timeout: float = 1.0
) -> dict[str, float]:
    """Ask workers for an answer, again and again until enough have answered.

    Nothing of it stays in Redis for longer than seconds, whoever answers and when: an answer that comes too late finds
    no way back.

    Args:
        connection: To the workers' broker, with its answers left as bytes.
        names: Workers to ask, in full as in ``worker@host``; None: all.
        wanted: So many answers are enough. None: those of all of ``names``; without names, one from each worker that
            is there to hear the question, and at least one. Only a worker that is missing makes this wait.
        timeout: Seconds to wait for answers. Workers that start in that time are asked, too.

    Returns:
        Name of each worker that answered to the seconds it took, in the order of their answers.

    Raises:
        redis.RedisError: Redis cannot be reached, or refuses.

    Examples:
        >>> from distribute_challenge import LocalCluster
        >>> from distribute_challenge.execution_backends.celery.broker.connection import connect
        >>> with LocalCluster(workers=1) as cluster:
        ...     answers = ping(connect(cluster.broker_url), timeout=20)
        >>> [name.partition("@")[0] for name in answers]
        ['embedded']
    """
    if wanted is None and names is not None:
        wanted = len(names)
    if wanted == 0:
        # To Celery, no names at all mean everybody.
        return {}
    asked_at = clock.monotonic()
    deadline = asked_at + timeout
    mailbox = _Mailbox(connection)
    answers: dict[str, float] = {}
    try:
        while clock.monotonic() < deadline:
            heard = mailbox.ask(names, timeout=timeout)
            enough = max(heard, 1) if wanted is None else wanted
            ask_again = min(deadline, clock.monotonic() + ASK_AGAIN)
            while len(answers) < enough and (left := ask_again - clock.monotonic()) > 0:
                for name in mailbox.next_answer(left):
                    answers.setdefault(name, clock.monotonic() - asked_at)
            if len(answers) >= enough:
                break
    finally:
        mailbox.close()
    return answers


class _Mailbox:
    """A list for answers, and the route that leads there from an exchange, as kombu keeps them in Redis."""

    def __init__(self, connection: Broker) -> None:
        self._connection = connection
        self._ticket = str(uuid.uuid4())
        self._exchange = EXCHANGE.format(host=socket.gethostname())
        self._replies = f"{self._exchange}.{self._ticket}"
        self._bindings = BINDINGS.format(exchange=self._exchange)
        self._binding = PRIORITY_SEPARATOR.join([self._ticket, "", self._replies])

    def ask(self, names: Collection[str] | None, *, timeout: float) -> int:
        """Put the question; how many workers heard it, be they meant or not."""
        with self._connection.pipeline(transaction=False) as pipe:
            pipe.sadd(self._bindings, self._binding)
            pipe.expire(self._bindings, EXPIRY)
            pipe.publish(channel(self._connection), self._question(names, timeout))
            *_, heard = pipe.execute()
        return int(heard)

    def next_answer(self, timeout: float) -> list[str]:
        """Names in the next answer: one, as Celery's workers answer; none if it does not come in time."""
        # Redis takes 0 as no limit.
        found = self._connection.brpop([self._replies], timeout=max(timeout, 0.01))
        return [] if found is None else list(json.loads(b64decode(json.loads(found[1])["body"])))

    def close(self) -> None:
        with self._connection.pipeline(transaction=False) as pipe:
            pipe.srem(self._bindings, self._binding)
            # Not deleted: a worker that has just looked up the way would make the list anew, and that one would last.
            pipe.lpush(self._replies, b"")
            pipe.expire(self._replies, EXPIRY)
            pipe.execute()

    def _question(self, names: Collection[str] | None, timeout: float) -> bytes:
        answer = {
            "ticket": self._ticket,
            "reply_to": {"exchange": self._exchange, "routing_key": self._ticket},
        }
        return control_message(
            "ping",
            {},
            names=names,
            answer=answer,
            expires=self._connection.clock.ask_if_old(self._connection) + timeout,
        )
