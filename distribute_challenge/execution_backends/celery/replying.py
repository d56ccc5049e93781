"""What a worker asks of the broker, however long that is away; above all the way back: replies onto the client's list.

The reply to a detached call goes where it is kept, or makes that the call is sent again: see `detached`.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import redis

from distribute_challenge.execution_backends.celery.detached import answer_commands
from distribute_challenge.execution_backends.celery.keys import REPLY_EXPIRY, is_outcome_key
from distribute_challenge.execution_backends.celery.line import Line
from distribute_challenge.log import logger
from distribute_challenge.messages import Reply
from distribute_challenge.security import Keyring, Purpose

__all__ = ["insist", "send_reply"]

T = TypeVar("T")

PAUSE = 0.5  # Seconds between attempts while the broker is away.


def insist(what: str, command: Callable[[], T]) -> T:
    """Do something with the broker, again and again until it answers.

    Args:
        what: For the log, such as ``"reply"``.
        command: What to do.
    """
    while True:
        try:
            return command()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            logger.warning("cannot %s, trying again: %s", what, error)
            time.sleep(PAUSE)


def _is_loss(frame: bytes) -> bool:
    problem = Reply.decode(frame).problem
    return problem is not None and problem.kind == "lost"


def send_reply(line: Line, keyring: Keyring, reply_to: str, frame: bytes) -> None:
    """Put a reply onto a client's list, however long the broker is away: a result is not thrown away.

    Args:
        line: To the broker.
        keyring: Signs it.
        reply_to: The client's list; of a detached call, where its outcome is kept.
        frame: The encoded reply.
    """
    sealed = keyring.seal(Purpose.reply(reply_to), [frame])

    commands = (
        answer_commands(reply_to, sealed, lost=_is_loss(frame))
        if is_outcome_key(reply_to)
        else [("RPUSH", reply_to, sealed), ("EXPIRE", reply_to, REPLY_EXPIRY)]
    )

    def push() -> None:
        line.send(*commands)
        line.settle()

    insist("reply", push)
