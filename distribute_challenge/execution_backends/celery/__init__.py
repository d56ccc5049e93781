"""The default engine: Celery workers on a Redis broker.

    client                                    Redis                          worker
    backend > client > outbox > publishing    queue of messages       -->    app > request > task > execution
                       receiver               one list of replies     <--
                       presence               who is there            <-->   worker

``celery -A distribute_challenge.execution_backends.celery worker`` finds ``app`` here.
"""

from typing import TYPE_CHECKING, Any

from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend

if TYPE_CHECKING:
    from distribute_challenge.execution_backends.celery.app import app

__all__ = ["CeleryExecutionBackend", "app"]


def __getattr__(name: str) -> Any:
    # Clients talk to Redis alone; only a worker pays for loading Celery.
    if name == "app":
        from distribute_challenge.execution_backends.celery.app import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
