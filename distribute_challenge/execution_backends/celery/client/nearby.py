"""Workers on this machine's usual Redis, which a client uses only if it is told to.

A program that starts a cluster of its own may have been meant for them: then one line in the log
says which variable leads there. The question is asked in the background, and only reads.
"""

import os
import socket
import threading
from typing import Final

from distribute_challenge.execution_backends.celery.broker.keys import WORKERS
from distribute_challenge.execution_backends.celery.broker.remote_control import MAILBOX
from distribute_challenge.log import logger

__all__ = ["mention_workers_nearby"]

PLACE = "127.0.0.1", 6379
WITHIN = 0.5  # Seconds for the connection, and for each part of the answer.

# Our workers' names, which may be those of workers that were killed, and how many workers of any
# kind listen.
_QUESTION: Final = f"HLEN {WORKERS}\r\nPUBSUB NUMSUB /0.{MAILBOX}\r\n".encode()

_asked_by = 0  # The process that has asked.


def mention_workers_nearby() -> None:
    """Log a line if there are any, once in the life of a process. Nothing waits for it."""
    global _asked_by
    if _asked_by != os.getpid():
        _asked_by = os.getpid()
        threading.Thread(target=_mention, name="distribute_challenge nearby", daemon=True).start()


def _mention() -> None:
    try:
        known, _, _, _, listening = _answer()
        if min(int(known[1:]), int(listening[1:])) < 1:
            return
    except (OSError, ValueError):
        return  # Nothing is there; or it wants a password, or is no Redis.
    logger.warning(
        "workers listen at redis://localhost:%d, and this program does not use them: it has "
        "started a cluster of its own. "
        "CELERY_BROKER_URL=redis://localhost:%d/0 leads to them",
        PLACE[1],
        PLACE[1],
    )


def _answer() -> list[bytes]:
    """The five lines of an answer that both questions have."""
    with socket.create_connection(PLACE, WITHIN) as connection:
        connection.sendall(_QUESTION)
        with connection.makefile("rb") as answer:
            lines = [answer.readline(100)]
            if not lines[0].startswith(b":"):
                raise ValueError("no number")
            # Of the second one: two parts, the channel's name behind its length, and a number.
            lines += [answer.readline(100) for _ in range(4)]
            return lines
