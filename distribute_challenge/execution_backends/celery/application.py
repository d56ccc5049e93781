"""The Celery application: its settings, and the one task that runs every batch.

A worker imports this; a client never does.
"""

from typing import Any

from celery import Celery
from kombu import Queue
from kombu.serialization import register

from distribute_challenge import settings
from distribute_challenge.execution_backends.celery import transport
from distribute_challenge.execution_backends.celery.bound_celery import BoundCelery
from distribute_challenge.execution_backends.celery.keys import UNACKED
from distribute_challenge.execution_backends.celery.publishing import (
    CONTENT_TYPE,
    PRIORITY_SEPARATOR,
    PRIORITY_STEPS,
    TASK_NAME,
)
from distribute_challenge.execution_backends.celery.task import run_batch
from distribute_challenge.execution_backends.celery.worker_steps import PresenceStep, connect_signals

__all__ = ["make_app"]

SERIALISER = "distribute_challenge"


def _encode(body: tuple[Any, ...]) -> bytes:
    (frame,), _, _ = body
    return bytes(frame)


def _decode(data: bytes) -> tuple[Any, ...]:
    # The worker's main process passes the frame on as it is: only the child that runs it looks inside.
    return ([bytes(data)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})


register(SERIALISER, _encode, _decode, CONTENT_TYPE, "binary")


LEASE = 30  # Seconds without a sign from a worker after which others may take over what it holds.


def make_app(broker_url: str | None = None, lease: int = LEASE) -> Celery:
    """A Celery application with the settings that a worker needs.

    Args:
        broker_url: The broker; None: what the environment says.
        lease: Whole seconds that a message stays with a worker that gives no sign of life; a living worker renews
            its leases, so calls may run for any time.
    """
    transport.install()
    app = BoundCelery("distribute_challenge", broker_url or settings.broker_url())
    app.conf.update(
        # Nothing but frames of our own and JSON (for remote control) is accepted, never pickle.
        accept_content=[SERIALISER, "json"],
        task_serializer="json",
        # A task is taken off the queue when it is done, not when it is begun: a dying worker loses nothing.
        task_acks_late=True,
        # The dead child's batch is answered by `request`, which tells the client; redelivery would run it without end.
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        # A worker holds only what it runs: others are free to take the rest.
        worker_prefetch_multiplier=1,
        # Results travel on the client's reply list.
        task_ignore_result=True,
        result_backend=None,
        task_default_queue=settings.DEFAULT_QUEUE,
        task_queues=[Queue(settings.DEFAULT_QUEUE, routing_key=settings.DEFAULT_QUEUE)],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "priority_steps": PRIORITY_STEPS,
            "sep": PRIORITY_SEPARATOR,
            "queue_order_strategy": "priority",
            # Keys of our own: another Celery application on this server has another idea of how long a lease is.
            "unacked_key": UNACKED,
            "unacked_index_key": f"{UNACKED}_index",
            "unacked_mutex_key": f"{UNACKED}_mutex",
            "unacked_mutex_expire": 10,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "visibility_timeout": lease,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        },
        # A child that loads NumPy and friends before its first call may take long to say hello.
        worker_proc_alive_timeout=30,
        worker_pool="distribute_challenge.execution_backends.celery.worker_pool:WorkerPool",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )
    app.task(
        run_batch,
        name=TASK_NAME,
        bind=True,
        Request="distribute_challenge.execution_backends.celery.request:BatchRequest",
    )
    app.steps["consumer"].add(PresenceStep)
    connect_signals()
    return app
