"""Celery's consumer, except that it does not wait for answers on connections that are as dead as
the one that it has lost.
"""

from typing import Any

from celery.worker.consumer import Consumer

from distribute_challenge.execution_backends.celery.worker.held import Held
from distribute_challenge.execution_backends.celery.worker.overrides.transport import WorkerChannel

__all__ = ["WorkerConsumer"]


class WorkerConsumer(Consumer):  # type: ignore[misc] # Celery has no types
    """What takes messages in, and connects anew.

    When one connection to Redis is lost, most likely all are. Celery says good-bye on each of them,
    and where nobody answers any more each costs the whole time that an answer may take: together
    they would be longer than a lease.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> Any:
        WorkerChannel.cut_all()
        Held.cut_all()
        return super().on_connection_error_after_connected(exc)
