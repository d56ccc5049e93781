"""The default engine: Celery workers on a Redis broker.

    client                                    Redis                          worker
    backend > client > outbox > publishing    queue of messages       -->    application > request > task > execution
                       receiver               one list of replies     <--
                       presence               who is there            <-->   worker

``celery -A distribute_challenge.execution_backends.celery worker`` finds ``app`` here.
"""

from typing import TYPE_CHECKING, Any

from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend

if TYPE_CHECKING:
    from celery import Celery

    app: Celery

__all__ = ["CeleryExecutionBackend", "app"]


def __getattr__(name: str) -> Any:
    # Clients talk to Redis alone; only a worker pays for loading Celery, and only Celery's own command asks for this.
    if name == "app":
        from distribute_challenge.execution_backends.celery.application import make_app
        from distribute_challenge.execution_backends.celery.command_line import hide_passwords
        from distribute_challenge.execution_backends.celery.privileges import guard_celery

        guard_celery()
        hide_passwords()
        globals()["app"] = made = make_app()
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
