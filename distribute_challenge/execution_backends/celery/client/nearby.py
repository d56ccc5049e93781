"""Workers at the default Redis address of this machine, which a client does not use by itself.

The user may have meant a program that starts a cluster of its own to use these workers. So one line
in the log says which variable to set. The client asks in the background, and only reads.
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

# The number of our workers' names, which may include workers that were killed, and the number of
# Celery workers of any application that listen.
_QUESTION: Final = f"HLEN {WORKERS}\r\nPUBSUB NUMSUB /0.{MAILBOX}\r\n".encode()

_asked_by = 0  # The process that has asked.


def mention_workers_nearby() -> None:
    """Log a line if there are any, once in the life of a process, in a thread of its own."""
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
        return  # No server is there, or it wants a password, or it is not Redis.
    logger.warning(
        "workers listen at redis://localhost:%d, and this program does not use them: it has "
        "started a cluster of its own. "
        "CELERY_BROKER_URL=redis://localhost:%d/0 leads to them",
        PLACE[1],
        PLACE[1],
    )


def _answer() -> list[bytes]:
    """Return the five lines that answer the two questions."""
    with socket.create_connection(PLACE, WITHIN) as connection:
        connection.sendall(_QUESTION)
        with connection.makefile("rb") as answer:
            lines = [answer.readline(100)]
            if not lines[0].startswith(b":"):
                raise ValueError("no number")
            # The second answer: number of elements, length of the channel's name, name, count.
            lines += [answer.readline(100) for _ in range(4)]
            return lines
