"""Asking workers through Celery's remote control."""

from functools import cache
from typing import Any

from celery import Celery
from kombu import Producer

from distribute_challenge.execution_backends.celery.broker.bound_celery import BoundCelery
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.broker.orders import SCALE, sealed_order

__all__ = ["active", "scale"]

ANSWER_WITHIN = 1.0  # Seconds that workers have to answer.


def scale(broker_url: str, processes: int) -> int | None:
    """Ask the one worker of an embedded cluster for a number of processes.

    Returns:
        How many it has now; None if it did not answer, as it does not while it starts.
    """
    connection = connect(broker_url)
    order = sealed_order(connection.keyring, SCALE, connection.clock.now(), processes=processes)
    replies = _app(broker_url).control.broadcast(SCALE, {"order": order}, reply=True, timeout=ANSWER_WITHIN, limit=1)
    answers = [answer for by_name in replies or () for answer in by_name.values()]
    return int(answers[0]["ok"]) if answers else None


def active(broker_url: str) -> dict[str, list[dict[str, Any]]]:
    """What each worker runs right now, as ``celery inspect active`` gives it: name of the worker to its tasks."""
    return _app(broker_url).control.inspect(timeout=ANSWER_WITHIN).active() or {}


class _Impatient(Producer):  # type: ignore[misc] # kombu has no types
    """Publishes once. Celery's control messages would be tried for ever when the broker is gone."""

    def publish(self, *args: Any, **options: Any) -> Any:
        return super().publish(*args, **{**options, "retry": False})


@cache
def _app(broker_url: str) -> Celery:
    """An application just for control messages; the worker's own would bring the worker's hooks along."""
    app = BoundCelery("distribute_challenge_control", broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=False,
        # The same for connecting.
        broker_transport_options={
            "max_retries": 1,
            "interval_start": 0,
            "socket_connect_timeout": ANSWER_WITHIN,
            # Books of its own, and empty: kombu would otherwise look for lost messages in those of other applications.
            "unacked_key": f"{UNACKED}_control",
            "unacked_index_key": f"{UNACKED}_control_index",
            "unacked_mutex_key": f"{UNACKED}_control_mutex",
        },
    )
    app.producer_pool.Producer = _Impatient
    return app
