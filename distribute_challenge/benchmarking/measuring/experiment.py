"""Carries out the plan: measures a cluster at one size after the other.

    scale ──> exactly N answer ──> warm up ──> measure ──> drain ──> the next size
                                   └──── feeder: a bounded number of calls in flight ────┘

What a step has seen is kept however the step ends: by itself, by Ctrl+C, or because the cluster
died. Only `Cluster` knows how a cluster is scaled.
"""

import time
from collections.abc import Callable

from distribute_challenge.benchmarking.clusters import Cluster
from distribute_challenge.benchmarking.measuring.feeder import Feeder
from distribute_challenge.benchmarking.measuring.monitor import Monitor
from distribute_challenge.benchmarking.measuring.progress import Progress
from distribute_challenge.benchmarking.measuring.workload import Workload, spins_for, workload_of
from distribute_challenge.benchmarking.recording import Run, Step
from distribute_challenge.errors import BrokerUnreachableError, SystemFailureError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import (
    Broker,
    connect,
    translated,
)
from distribute_challenge.execution_backends.celery.broker.ping import ping

__all__ = ["Experiment"]

ANSWER_WITHIN = 1.0  # Seconds that a worker has to answer; then it is asked again.
ASK_EVERY = 0.1  # Seconds between two looks at the workers.
# Seconds without any change, on top of the longest call, after which the experiment gives up.
STANDSTILL = 60.0
NOTICED_WITHIN = 5.0  # Seconds that a cluster has to notice that its broker died.
CHECK_EVERY = 1.0  # Seconds between two checks of the cluster.


class Experiment:
    """One client that measures a cluster at each size of a plan.

    Args:
        run: Run that gets what is recorded; sizes that it has complete are not measured again.
        cluster: Cluster to measure, already started.
        progress: Shows how far the experiment is.
        save: Called after each addition to the run that is worth keeping.
        headline: Describes the result of a step in a few words.
    """

    def __init__(
        self,
        run: Run,
        cluster: Cluster,
        *,
        progress: Progress,
        save: Callable[[], object],
        headline: Callable[[Step], str],
    ) -> None:
        self._run = run
        self._cluster = cluster
        self._progress = progress
        self._save = save
        self._headline = headline
        self._checked = 0.0

    def carry_out(self) -> None:
        """Measure all sizes that the run lacks, and bring the cluster back to its first size.

        Raises:
            SystemFailureError: The cluster or a worker failed. What was measured until then is in
                the run, as after any other exception.
        """
        plan = self._run.plan
        missing = self._run.missing
        url = self._cluster.broker_url
        monitor = Monitor(url, self._cluster.usage, epoch=self._run.epoch)
        with connect(url) as connection, CeleryExecutionBackend(url) as backend:
            for size in missing:
                step = Step(size, scaling=self._scale(size, connection))
                if plan.workload == "cpu" and self._run.spins is None:
                    self._run.spins = spins_for(plan.task_seconds, backend)
                workload = workload_of(plan, self._run.spins)
                feeder = Feeder(
                    lambda workload=workload: workload.call().submit(backend=backend),  # type: ignore[misc]
                    workload.in_flight(size),
                    epoch=self._run.epoch,
                )
                try:
                    with monitor.watching(lambda feeder=feeder: feeder.in_flight) as samples:  # type: ignore[misc]
                        step.samples = samples
                        self._measure(step, feeder, workload)
                finally:
                    self._keep(step, feeder)
            if missing:
                self._run.scaled_back = self._scale(plan.min_workers, connection)
                self._save()

    def _measure(self, step: Step, feeder: Feeder, workload: Workload) -> None:
        plan = self._run.plan
        began = time.monotonic()
        self._progress.begin(_workers(step.workers), plan.warm_up + plan.runtime)

        def watch() -> None:
            self._progress.show(time.monotonic() - began, feeder.returned, feeder.in_flight)
            self._check()

        feeder.feed(plan.warm_up, watch)
        step.opened = time.time() - self._run.epoch
        feeder.feed(plan.runtime, watch)
        step.closed = time.time() - self._run.epoch
        try:
            feeder.drain(watch, patience=STANDSTILL + workload.seconds)
        except SystemFailureError:
            step.lost = feeder.in_flight
            raise
        step.complete = True

    def _keep(self, step: Step, feeder: Feeder) -> None:
        """Put what a step has seen into the run, however the step ended."""
        feeder.close()
        now = time.time() - self._run.epoch
        step.opened, step.closed = step.opened or now, step.closed or now
        step.calls, step.failures = feeder.calls, dict(feeder.failures)
        step.calls.workers = [self._cluster.label(name) for name in step.calls.workers]
        self._run.put(step)
        self._save()
        failed = sum(step.failures.values())
        self._progress.end(
            self._headline(step)
            + (f", {failed} calls failed" if failed else "")
            + ("" if step.complete else ", not complete")
        )

    def _scale(self, size: int, connection: Broker) -> float:
        """Scale the cluster, and return the seconds until exactly that many workers answered.

        Raises:
            SystemFailureError: The number of workers that answer is wrong and does not change.
        """
        self._progress.say(f"scaling to {_workers(size)} ...")
        began = changed = time.monotonic()
        self._cluster.scale(size)
        patience = STANDSTILL + self._run.plan.task_seconds
        answered = -1
        while True:
            slots, all_answer = self._present(connection)
            if slots == size and all_answer:
                return time.monotonic() - began
            if slots != answered:
                answered, changed = slots, time.monotonic()
            elif time.monotonic() - changed > patience:
                raise SystemFailureError(
                    f"{_workers(size)} were asked for, and {slots} answer, for {patience:.0f} s "
                    f"already: "
                    f"look at the workers' logs, and whether the machine has memory for so many"
                )
            self._check()
            time.sleep(ASK_EVERY)

    def _present(self, connection: Broker) -> tuple[int, bool]:
        """Return how many worker processes there are, and whether all their workers answer."""
        try:
            with translated(self._cluster.broker_url):
                present = presence.workers(connection)
                answers = (
                    len(ping(connection, wanted=len(present), timeout=ANSWER_WITHIN))
                    if present
                    else 0
                )
        except BrokerUnreachableError:
            # The cluster's error says more about what happened, once the cluster has noticed.
            deadline = time.monotonic() + NOTICED_WITHIN
            while time.monotonic() < deadline:
                self._cluster.check()
                time.sleep(ASK_EVERY)
            raise
        return presence.slots(present), answers == len(present)

    def _check(self) -> None:
        now = time.monotonic()
        if now - self._checked >= CHECK_EVERY:
            self._checked = now
            self._cluster.check()


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"
