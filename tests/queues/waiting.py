"""Threads of a test that wait at a queue."""

import threading
from collections.abc import Callable
from typing import Any

from distribute_challenge.execution_backends.celery.broker.connection import connect
from tests.execution_backends.celery.conftest import Server


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[Any]]:
    """Run a function in a thread, which puts what it returned or raised into a list."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(function())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def is_waiting(server: Server, number: int = 1) -> Callable[[], bool]:
    """Whether so many clients wait for a token."""
    return lambda: connect(server.url).info("clients")["blocked_clients"] == number
