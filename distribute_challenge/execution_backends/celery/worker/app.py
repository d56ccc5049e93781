"""The Celery application: its settings, and the one task that runs every batch.

A worker imports this; a client never does.
"""

from functools import partial
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.serialization import register

from distribute_challenge import settings
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.celery.broker.bound_celery import BoundCelery
from distribute_challenge.execution_backends.celery.broker.cluster_clock import clock_of
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.broker.publishing import (
    CONTENT_TYPE,
    PRIORITY_SEPARATOR,
    PRIORITY_STEPS,
    TASK_NAME,
)
from distribute_challenge.execution_backends.celery.worker.bootsteps import (
    PresenceStep,
    connect_signals,
)
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.overrides import transport
from distribute_challenge.execution_backends.celery.worker.overrides.request import answer, present
from distribute_challenge.execution_backends.celery.worker.replying import ANSWER_WITHIN
from distribute_challenge.execution_backends.celery.worker.task import run_batch
from distribute_challenge.security import keyring_for

__all__ = ["make_app"]

SERIALISER = "distribute_challenge"


def _encode(body: tuple[Any, ...]) -> bytes:
    (frame,), _, _ = body
    return bytes(frame)


def _decode(data: bytes) -> tuple[Any, ...]:
    # The worker's main process passes the sealed frame on; only the child that runs it decodes it.
    return ([bytes(data)], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})


register(SERIALISER, _encode, _decode, CONTENT_TYPE, "binary")


CONNECT_WITHIN = 2.0  # Seconds for one attempt to connect; the next follows at once.
LEASE = 7  # Seconds without a renewal after which other workers take a message for lost.


def make_app(broker_url: str | None = None, lease: int = LEASE) -> Celery:
    """Make a Celery application with the settings that a worker needs.

    Args:
        broker_url: The broker; None: the broker from the environment.
        lease: Whole seconds for which a worker may hold a message without renewing it. A living
            worker renews its leases, so calls may run for any time.

    Raises:
        OptionError: No broker is given, and the environment names none.
    """
    url = broker_url or settings.broker_url()
    if url is None:
        raise OptionError(
            "a worker needs the address of its cluster's Redis: set "
            "CELERY_BROKER_URL=redis://host:6379/0, or give --broker"
        )
    transport.install()
    gate = Gate(keyring_for(url), partial(answer, url), clock_of(url).now, partial(present, url))
    app = BoundCelery("distribute_challenge", url, amqp=transport.PatientAMQP)
    app.gate = gate
    app.conf.update(
        # Only our own sealed frames, and JSON for remote control, are accepted, never pickle; and
        # of these only what the gate admits.
        accept_content=[SERIALISER, "json"],
        task_serializer="json",
        # A message is acknowledged when it is done, not when it is begun: a worker that dies loses
        # no call.
        task_acks_late=True,
        # If a child dies, `BatchRequest` tells the client. If Celery put the message back, it could
        # run without end.
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        # A worker takes only as many messages as it can run; other workers can take the rest.
        worker_prefetch_multiplier=1,
        # Outcomes go to the client's reply list.
        task_ignore_result=True,
        result_backend=None,
        task_default_queue=settings.DEFAULT_QUEUE,
        task_queues=[Queue(settings.DEFAULT_QUEUE, routing_key=settings.DEFAULT_QUEUE)],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A full Redis refuses what a worker declares when it connects, which is temporary.
        broker_channel_error_retry=True,
        # A message that finds no idle child waits in the pool, which keeps it when the connection
        # breaks. Celery would drop a message that waits for a pool lock.
        worker_pool_putlocks=False,
        broker_transport_options={
            "priority_steps": PRIORITY_STEPS,
            "sep": PRIORITY_SEPARATOR,
            "queue_order_strategy": "priority",
            # Keys of our own: another Celery application on this server may have another lease.
            "unacked_key": UNACKED,
            "unacked_index_key": f"{UNACKED}_index",
            "visibility_timeout": lease,
            # Seconds; a connection that is cut without notice is found within three times this.
            "health_check_interval": 4,
            "socket_timeout": ANSWER_WITHIN,
            "socket_connect_timeout": CONNECT_WITHIN,
            "socket_keepalive": True,
        },
        # A child that imports NumPy, say, before its first call may take long to report as started.
        worker_proc_alive_timeout=30,
        worker_consumer="distribute_challenge.execution_backends.celery.worker.overrides.consumer:WorkerConsumer",
        worker_pool="distribute_challenge.execution_backends.celery.worker.overrides.pool:WorkerPool",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )
    app.task(
        run_batch,
        name=TASK_NAME,
        bind=True,
        Request="distribute_challenge.execution_backends.celery.worker.overrides.request:BatchRequest",
    )
    app.steps["consumer"].add(PresenceStep)
    connect_signals()
    return app
