"""The default engine: Celery workers on a Redis broker.

    client/                                  Redis, known to broker/    worker/
    backend > client > pending > publisher   queues of messages   -->   transport > gate > Celery
                                                                            > task > execution
              future < receiver              one list of replies  <--   replying
              worker_counts                  presence             <-->  bootsteps

``celery -A distribute_challenge.execution_backends.celery worker`` finds ``app`` here.
"""

from typing import TYPE_CHECKING, Any

from distribute_challenge.lazy_names import lazy_names

if TYPE_CHECKING:
    from celery import Celery

    from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend

    app: Celery

__all__ = ["CeleryExecutionBackend", "app"]


# A worker does without it.
_find = lazy_names(
    __name__, {"CeleryExecutionBackend": "distribute_challenge.execution_backends.celery.backend"}
)


def __getattr__(name: str) -> Any:
    # Only a worker needs Celery, which takes long to load: clients talk to Redis alone. And only
    # Celery's own command asks for `app`.
    if name == "app":
        from distribute_challenge.execution_backends.celery.worker.app import make_app
        from distribute_challenge.execution_backends.celery.worker.command_line import (
            check_broker,
            hide_passwords,
        )
        from distribute_challenge.execution_backends.celery.worker.privileges import guard_celery

        guard_celery()
        hide_passwords()
        check_broker()
        globals()["app"] = made = make_app()
        return made
    return _find(name)
