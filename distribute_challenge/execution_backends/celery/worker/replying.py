"""Sends a worker's replies to the client's list, and repeats commands until the broker answers.

The reply to a detached call is kept in Redis, or has the call sent again: see `broker.detached`.
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
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.log import logger
from distribute_challenge.security import Keyring, Purpose

__all__ = ["ANSWER_WITHIN", "retry_until_answered", "send_problem", "send_reply"]

T = TypeVar("T")

#: Seconds that the broker has for each answer to a worker's main process; after that, the worker
#: connects anew.
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
)  # Beginnings of errors that redis-py has no class for.


def retry_until_answered(
    what: str, command: Callable[[], T], give_up: Callable[[], bool] | None = None
) -> T:
    """Repeat a command to the broker until it succeeds.

    The broker may be away, may be loading its data, or may be full.

    Args:
        what: The action, for the log, such as ``"reply"``.
        command: Sends the command.
        give_up: Tells after a failure whether to give up; None: never.

    Raises:
        redis.RedisError: The command was given up, or can never succeed.
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
    connection: PipelinedConnection,
    keyring: Keyring,
    reply_to: str,
    frame: bytes,
    give_up: Callable[[], bool] | None = None,
    *,
    before: Sequence[bytes] = (),
) -> None:
    """Put a reply onto a client's list, however long the broker is away.

    Args:
        connection: The connection to the broker.
        keyring: Signs the reply.
        reply_to: Key of the client's list; for a detached call, the key that keeps its outcome.
        frame: The encoded reply.
        give_up: As for `retry_until_answered`.
        before: Further encoded replies, to be put onto the list before this one.

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
        connection.send(*commands)
        connection.settle()

    retry_until_answered("reply", push, give_up)


def send_problem(
    connection: PipelinedConnection,
    keyring: Keyring,
    batch: Batch,
    problem: Problem,
    worker: str,
    give_up: Callable[[], bool],
) -> None:
    """Tell a batch's client why there are no outcomes.

    Args:
        connection: The connection to the broker.
        keyring: Signs the reply.
        batch: The batch.
        problem: Why there are no outcomes.
        worker: Name of the process that had the batch.
        give_up: As for `retry_until_answered`.

    Raises:
        redis.RedisError: It was given up.
    """
    reply = Reply(batch.id, worker, clock.now(), problem=problem)
    try:
        send_reply(connection, keyring, batch.reply_to, reply.encode(), give_up)
    except redis.ResponseError as error:
        if give_up():
            raise
        # The key of the client's list holds a value of another type. This must not keep the worker
        # from answering other clients.
        logger.warning("cannot tell the client what became of %s: %s", batch.name, error)


def _will_pass(error: redis.RedisError) -> bool:
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_WORDS)
