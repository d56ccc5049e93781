"""What our worker does besides running batches: it shows its presence, and prepares its children.

All of it uses Celery's own hooks, so ``celery -A distribute_challenge.execution_backends.celery
worker`` does it too.
"""

import contextlib
import json
import os
import random
import sys
import warnings
from typing import Any

import redis
from celery import bootsteps, signals
from celery.exceptions import CPendingDeprecationWarning
from celery.worker.control import control_command

from distribute_challenge import settings
from distribute_challenge.execution.run import become_worker
from distribute_challenge.execution.standard_streams import work_without_streams
from distribute_challenge.execution.surroundings import Surroundings
from distribute_challenge.execution_backends.celery.broker import presence, reports
from distribute_challenge.execution_backends.celery.broker.commands import (
    CANCEL,
    SCALE,
    CancelCommand,
    open_command,
)
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.worker.activity import activity
from distribute_challenge.execution_backends.celery.worker.call_processes import allow_processes
from distribute_challenge.execution_backends.celery.worker.cancellation import cancelled_calls
from distribute_challenge.execution_backends.celery.worker.crash_reports import crash_reporter
from distribute_challenge.execution_backends.celery.worker.failure_log import PERIOD, left_out
from distribute_challenge.execution_backends.celery.worker.overrides.request import told_to_end
from distribute_challenge.execution_backends.celery.worker.process_log import (
    redirect_streams,
    set_up_logging,
)
from distribute_challenge.execution_backends.celery.worker.reaper import EVERY, Reaper
from distribute_challenge.execution_backends.celery.worker.replying import ANSWER_WITHIN
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.log import logger
from distribute_challenge.owned_folder import sweep
from distribute_challenge.stores import shared_memory_identity

__all__ = ["PresenceStep", "connect_signals"]

_THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)

# JSON; only the embedded cluster's client sets it.
SURROUNDINGS_VARIABLE = "DISTRIBUTE_CHALLENGE_SURROUNDINGS"
LOOK_FOR_DEATHS = 0.25  # Seconds between two looks at the children.


class PresenceStep(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Shows the worker's presence to clients, and renews the leases of the messages that it holds.

    Celery's consumer starts and stops it. If the broker does not answer, this step finds out first:
    its error makes Celery connect anew.
    """

    _connection: Broker
    _reaper: Reaper

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timers: list[Any] = []

    def start(self, consumer: Any) -> None:
        app, every = consumer.app, consumer.timer.call_repeatedly
        self._connection = connect(app.url, answer_within=ANSWER_WITHIN)
        lease = app.conf.broker_transport_options["visibility_timeout"]
        self._reaper = Reaper(
            self._connection,
            _unacked(consumer),
            app.gate,
            unacked_key=UNACKED,
            lease=lease,
            give_up=told_to_end,
        )
        # Renew first: after one lease, other workers take the messages held here for lost.
        self._beat(consumer)
        if hasattr(consumer.pool, "tags"):
            self._say(lambda _: _unacked(consumer).put_back_all_but(consumer.pool.tags()))
        self._say(_look_for_strangers)
        self._timers = [
            every(presence.BEAT, self._beat, (consumer,)),
            every(reports.REPORT_EVERY, self._report, (consumer,)),
            every(EVERY, self._reap),
            every(PERIOD, left_out.write),
        ]
        if hasattr(consumer.pool, "maintain_pool"):
            consumer.pool._pool.on_death = crash_reporter().died
            # Celery sees at once that a child has died, but may take 5 s for one that replaced
            # another.
            self._timers.append(every(LOOK_FOR_DEATHS, self._look, (consumer,)))

    def stop(self, consumer: Any) -> None:
        while self._timers:
            self._timers.pop().cancel()
        if consumer.blueprint.state == bootsteps.CLOSE:  # Else the consumer connects anew.
            # The worker was told to end, and finishes running calls, longer than a lease perhaps.
            self._timers = [consumer.timer.call_repeatedly(presence.BEAT, self._renew, (consumer,))]
            try:
                # By its name alone: when the worker is ended at once, its pool is gone already.
                presence.leave(self._connection, presence.WorkerPresence, consumer.hostname)
                consumer.task_consumer.cancel()
                # A message that was on its way goes back now, not when the last call has ended.
                consumer.task_consumer.channel.read_what_was_asked_for()
            except redis.RedisError as error:
                logger.warning("cannot say good-bye: %s", error)

    def _beat(self, consumer: Any) -> None:
        self._renew(consumer)
        self._say(lambda connection: presence.show(connection, _presence_of(consumer)))
        self._say(lambda connection: activity.watch(reports.is_watched(connection)))
        sweep(settings.shared_folder())  # Of clients on this machine that were killed.

    def _renew(self, consumer: Any) -> None:
        if not self._say(lambda _: _unacked(consumer).renew()):
            self._reaper.hold_off()

    def _report(self, consumer: Any) -> None:
        if activity.is_watched:
            now = self._connection.clock.now()
            report = activity.report(consumer.hostname, now, _children_of(consumer))
            self._say(lambda connection: reports.report(connection, report))

    def _reap(self) -> None:
        self._say(lambda _: self._reaper.reap())

    def _look(self, consumer: Any) -> None:
        pool = consumer.pool._pool
        if pool is not None:  # A pool that Celery has ended has none.
            crash_reporter().look([child.pid for child in pool._pool])
            consumer.pool.maintain_pool()

    def _say(self, word: Any) -> bool:
        """Send something to the broker.

        Args:
            word: Sends it over the connection that it is given.

        Returns:
            False if the broker refused it.

        Raises:
            redis.RedisError: The broker does not answer.
        """
        try:
            word(self._connection)
        except redis.ResponseError as error:
            # The broker answers, but is full.
            logger.warning("the broker does not take what this worker has to say: %s", error)
            return False
        return True


def _look_for_strangers(connection: Broker) -> None:
    if others := presence.strangers(connection):
        logger.error(
            "%d workers of this cluster have another secret than this one: each refuses, and takes "
            "off the queues, what is meant for "
            "the others. Give all of them the same DISTRIBUTE_CHALLENGE_SECRET, or queues of their "
            "own",
            others,
        )


def _unacked(consumer: Any) -> UnackedMessages:
    unacked: UnackedMessages = consumer.task_consumer.channel.qos.unacked
    return unacked


def _children_of(consumer: Any) -> list[int]:
    """Return the process ids of a worker's child processes; empty if it has a pool of another kind."""
    pool = getattr(consumer.pool, "_pool", None)
    return [child.pid for child in getattr(pool, "_pool", None) or ()]


def _presence_of(consumer: Any) -> presence.WorkerPresence:
    return presence.WorkerPresence(
        name=consumer.hostname,
        concurrency=consumer.pool.num_processes,
        queues=sorted(consumer.app.amqp.queues.consume_from),
        shared_memory=shared_memory_identity(),
        refused=consumer.app.gate.refusals.total,
        opens=consumer.app.gate.keyring.opens,
    )


# The two commands below only get arguments that a holder of the secret has signed: the gate refuses
# all others.


@control_command(name=SCALE, args=[("command", str)])  # type: ignore[untyped-decorator]
def _scale(state: Any, command: str = "") -> dict[str, Any]:
    """Bring the pool towards a number of child processes; busy ones stay until asked again."""
    consumer = state.consumer
    processes = open_command(state.app.gate.keyring, SCALE, command)["processes"]
    pool = consumer.pool
    more = processes - pool.num_processes
    if more > 0:
        pool.grow(more)
        consumer._update_prefetch_count(more)
    # One at a time: Celery takes a child that was told to end for idle, and would choose it again.
    elif more < 0 and len(pool._pool._pool) <= pool.num_processes:
        with contextlib.suppress(ValueError):  # All are busy.
            pool.shrink(1)
            consumer._update_prefetch_count(-1)
    # The processes that are there now, not the number that the pool aims at.
    starting = getattr(pool._pool, "_waiting_to_start", ())
    return {"ok": len(pool._pool._pool) - len(starting)}


@control_command(name=CANCEL, args=[("command", str)])  # type: ignore[untyped-decorator]
def _cancel(state: Any, command: str = "") -> dict[str, Any]:
    """Stop calls that their client has cancelled."""
    cancelled_calls.take(CancelCommand.read(state.app.gate.keyring, command), state.consumer)
    return {"ok": "noted"}


def connect_signals() -> None:
    """Attach everything below to Celery's signals; safe to call again."""
    signals.celeryd_init.connect(_work_without_streams)
    signals.celeryd_init.connect(_put_filters_aside)
    signals.worker_init.connect(_close_gate)
    signals.worker_init.connect(_share_machine)
    signals.worker_init.connect(_open_records)
    signals.worker_process_init.connect(_prepare_child)
    signals.setup_logging.connect(set_up_logging)


def _work_without_streams(**_: Any) -> None:
    """Celery's own command prints a banner: what it cannot write is no reason to end."""
    work_without_streams()


_filters: "warnings.catch_warnings[None] | None" = None


def _put_filters_aside(**_: Any) -> None:
    """Make warnings errors in calls only, if they are errors, by ``-W error`` say.

    Else Celery's own warnings, such as that it runs as root, would end the worker.
    """
    global _filters
    if any(action == "error" for action, *_ in warnings.filters):
        _filters = warnings.catch_warnings()
        _filters.__enter__()  # Until a child begins.
        warnings.simplefilter("default")


def _close_gate(sender: Any = None, **_: Any) -> None:
    """Have the worker's channels use the gate, and count what the gate and the children refuse.

    Other programs that use this application, such as Flower, have no gate.
    """
    sender.app.gate.refusals.count_children()
    sender.app.conf.broker_transport_options["gate"] = sender.app.gate


def _open_records(**_: Any) -> None:
    crash_reporter()
    # At each loss of the connection, Celery would warn that running tasks cannot be acknowledged
    # any more. `UnackedMessages` can acknowledge them.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


def _share_machine(sender: Any = None, **_: Any) -> None:
    """Share cores and memory among the child processes.

    Else each would start as many BLAS threads as there are cores.
    """
    os.environ.setdefault(
        settings.VALUE_CACHE_VARIABLE, str(settings.value_cache(max(1, sender.concurrency)))
    )
    threads = max(1, (os.cpu_count() or 1) // max(1, sender.concurrency))
    for variable in _THREAD_LIMITS:
        os.environ.setdefault(variable, str(threads))


def _prepare_child(**_: Any) -> None:
    become_worker()
    allow_processes()
    if _filters is not None:
        _filters.__exit__(None, None, None)
    if told := os.environ.pop(SURROUNDINGS_VARIABLE, None):
        # Celery sets up Django by itself.
        Surroundings(*json.loads(told))._replace(has_django=False).apply()
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        # It was loaded before the fork, so all children would draw the same numbers.
        numpy.random.seed()
    redirect_streams()
