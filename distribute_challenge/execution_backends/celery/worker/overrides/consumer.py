"""Celery's consumer, but it closes all connections to Redis once one of them is lost."""

from typing import Any

from celery.worker.consumer import Consumer

from distribute_challenge.execution_backends.celery.worker.overrides.transport import WorkerChannel
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages

__all__ = ["WorkerConsumer"]


class WorkerConsumer(Consumer):  # type: ignore[misc] # Celery has no types
    """The part of a worker's main process that takes messages in, and connects anew.

    When one connection to Redis is lost, most likely all are. Celery sends commands over each of
    them to close it. Where Redis does not answer, each command waits until its timeout is over:
    together, that would take longer than a lease.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> Any:
        WorkerChannel.cut_all()
        UnackedMessages.cut_all()
        return super().on_connection_error_after_connected(exc)
