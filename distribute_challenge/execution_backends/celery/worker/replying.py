"""What a worker asks of the broker, however long that is away; above all the way back: replies onto
the client's list.

The reply to a detached call goes where it is kept, or makes that the call is sent again: see
`detached`.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Batch, Problem, Reply
from distribute_challenge.execution_backends.celery.broker.connection import reconnect_pause
from distribute_challenge.execution_backends.celery.broker.detached import answer_commands
from distribute_challenge.execution_backends.celery.broker.keys import REPLY_EXPIRY, is_outcome_key
from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose

__all__ = ["ANSWER_WITHIN", "insist", "send_problem", "send_reply"]

T = TypeVar("T")

#: Seconds that the broker has for each answer to a worker's main process; a connection that gives
#: none is made anew.
ANSWER_WITHIN = 3.0

_PASSING = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.ReadOnlyError,
)
_PASSING_WORDS = (
    "MISCONF",
    "BUSY",
    "MASTERDOWN",
)  # How errors begin that redis-py has no class for.


def insist(what: str, command: Callable[[], T], give_up: Callable[[], bool] | None = None) -> T:
    """Do something with the broker, again and again until it does it: it may be away, read its
    file, or be full.

    Args:
        what: For the log, such as ``"reply"``.
        command: What to do.
        give_up: Whether to leave it at the next failure; None: never.

    Raises:
        redis.RedisError: It was given up, or it can never succeed.
    """
    while True:
        try:
            return command()
        except redis.RedisError as error:
            if not _will_pass(error) or (give_up is not None and give_up()):
                raise
            logger.warning("cannot %s, trying again: %s", what, error)
            time.sleep(reconnect_pause())


def _is_loss(frame: bytes) -> bool:
    problem = Reply.decode(frame).problem
    return problem is not None and problem.kind == "lost"


def send_reply(
    line: Line,
    keyring: Keyring,
    reply_to: str,
    frame: bytes,
    give_up: Callable[[], bool] | None = None,
    *,
    before: Sequence[bytes] = (),
) -> None:
    """Put a reply onto a client's list, however long the broker is away: a result is not thrown
    away.

    Args:
        line: To the broker.
        keyring: Signs it.
        reply_to: The client's list; of a detached call, where its outcome is kept.
        frame: The encoded reply.
        give_up: As for `insist`.
        before: Further encoded replies, which are to be there before this one.

    Raises:
        redis.RedisError: It was given up.
    """
    purpose = Purpose.reply(reply_to)
    sealed = keyring.seal(purpose, [frame])
    earlier = [keyring.seal(purpose, [each]) for each in before]

    commands = (
        answer_commands(reply_to, sealed, lost=_is_loss(frame))
        if is_outcome_key(reply_to)
        else [("RPUSH", reply_to, *earlier, sealed), ("EXPIRE", reply_to, REPLY_EXPIRY)]
    )

    def push() -> None:
        line.send(*commands)
        line.settle()

    insist("reply", push, give_up)


def send_problem(
    line: Line,
    keyring: Keyring,
    batch: Batch,
    problem: Problem,
    worker: str,
    give_up: Callable[[], bool],
) -> None:
    """Tell a batch's client why there are no outcomes.

    Args:
        line: To the broker.
        keyring: Signs it.
        batch: The batch.
        problem: What there is in the place of outcomes.
        worker: The process that had it.
        give_up: As for `insist`.

    Raises:
        redis.RedisError: It was given up.
    """
    reply = Reply(batch.id, worker, clock.now(), problem=problem)
    try:
        send_reply(line, keyring, batch.reply_to, reply.encode(), give_up)
    except redis.ResponseError as error:
        if give_up():
            raise
        # Somebody has put something else in the place of the client's list. There are others to be
        # told.
        logger.warning("cannot tell the client what became of %s: %s", batch.name, error)


def _will_pass(error: redis.RedisError) -> bool:
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS)
