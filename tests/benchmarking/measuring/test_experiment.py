"""A plan that is carried out on a real cluster, and what is kept when something happens to it."""

import io
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.benchmarking.clusters import Cluster
from distribute_challenge.benchmarking.measuring import experiment as module
from distribute_challenge.benchmarking.measuring import workload
from distribute_challenge.benchmarking.measuring.experiment import Experiment
from distribute_challenge.benchmarking.measuring.progress import Progress
from distribute_challenge.benchmarking.recording import Plan, Run, Step, Usage
from distribute_challenge.errors import (
    BrokerUnreachableError,
    ClusterStartError,
    SystemFailureError,
)
from tests.processes import mentioning

pytestmark = [pytest.mark.celery, pytest.mark.slow]


class Small(Cluster):
    """An embedded cluster that remembers the sizes it was given, and fails when it is told to.

    Args:
        cluster: One that runs already, and goes on; by default it is one of its own.
    """

    kind = "small"

    def __init__(self, cluster: LocalCluster | None = None) -> None:
        self.cluster = cluster or LocalCluster(workers=1)
        self.is_shared = cluster is not None
        self.sizes: list[int] = []
        self.checks = 0
        self.fails_at_check = 0
        self.deaf = False

    @property
    def broker_url(self) -> str:
        return self.cluster.broker_url

    def start(self) -> None:
        self.cluster.start()

    def scale(self, workers: int) -> None:
        self.sizes.append(workers)
        if not self.deaf:
            self.cluster.scale(workers)

    def check(self) -> None:
        self.checks += 1
        if self.checks == self.fails_at_check:
            raise ClusterStartError("worker-1 died")
        self.cluster.check()

    def usage(self) -> Mapping[str, Usage]:
        return {"worker-1": Usage(0.25, 1000)}

    def label(self, worker: str) -> str:
        return f"labelled {worker.partition('@')[0]}"

    def versions(self) -> Mapping[str, str]:
        return {}

    def stop(self) -> None:
        if self.is_shared:
            self.cluster.scale(1)
        else:
            self.cluster.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalCluster]:
    """A cluster for all tests that do not break it."""
    cluster = LocalCluster(workers=1).start()
    compute_this(len)("abc").compute(cluster.backend)  # Its worker is there.
    yield cluster
    cluster.close()


def run_of(workload_name: str = "sleep", **changes: Any) -> Run:
    """Calls that sleep: as many as there can be would cost the tests half of their time."""
    plan: dict[str, Any] = {
        "cluster": "small",
        "workload": workload_name,
        "task_seconds": 0.01,
        "payload_bytes": 100,
        "min_workers": 1,
        "max_workers": 2,
        "step": 1,
        "runtime": 0.4,
        "warm_up": 0.1,
    }
    return Run(Plan(**{**plan, **changes}), {}, epoch=0.0)


class Session:
    """An experiment, with what it writes and how often it saves."""

    def __init__(self, run: Run, cluster: Cluster) -> None:
        self.run = run
        self.output = io.StringIO()
        self.saved = 0
        self.experiment = Experiment(
            run,
            cluster,
            progress=Progress(self.output),
            save=self.save,
            headline=lambda step: f"{step.workers} done",
        )

    def save(self) -> None:
        self.saved += 1


def test_every_size_is_measured_and_the_cluster_is_scaled_back(shared: LocalCluster) -> None:
    run = run_of()
    with Small(shared) as cluster:
        session = Session(run, cluster)
        session.experiment.carry_out()
    assert cluster.sizes == [1, 2, 1]
    assert session.saved == 3
    assert run.scaled_back is not None
    assert [step.workers for step in run.steps] == [1, 2]
    for step in run.steps:
        assert step.complete
        assert (step.failures, step.lost) == ({}, 0)
        assert step.scaling > 0
        assert step.closed - step.opened >= 0.4
        assert len(step.calls) > 10
        assert min(step.calls.started) < step.opened < step.closed
        assert set(step.calls.workers) == {"labelled embedded"}
        assert step.samples[0].usage == {"worker-1": Usage(0.25, 1000)}
    assert session.output.getvalue().splitlines() == [
        "scaling to 1 worker ...",
        "1 worker: 0.5 s ...",
        "1 worker: 1 done",
        "scaling to 2 workers ...",
        "2 workers: 0.5 s ...",
        "2 workers: 2 done",
        "scaling to 1 worker ...",
    ]


def test_spinning_is_measured_once_and_kept_when_the_run_is_resumed(shared: LocalCluster) -> None:
    run = run_of("cpu", max_workers=1)
    with Small(shared) as cluster:
        Session(run, cluster).experiment.carry_out()
        assert run.spins is not None
        assert run.spins > 1000
        run.plan, run.spins = run_of("cpu", max_workers=2).plan, 10
        Session(run, cluster).experiment.carry_out()
    assert cluster.sizes == [1, 1, 2, 1]
    assert run.spins == 10
    assert [step.workers for step in run.steps] == [1, 2]


def test_a_complete_run_is_left_as_it_is(shared: LocalCluster) -> None:
    run = run_of(max_workers=1)
    run.put(Step(1, complete=True))
    with Small(shared) as cluster:
        session = Session(run, cluster)
        session.experiment.carry_out()
    assert (cluster.sizes, session.saved, run.scaled_back) == ([], 0, None)


def test_calls_that_fail_are_counted_and_shown(
    monkeypatch: pytest.MonkeyPatch, shared: LocalCluster
) -> None:
    monkeypatch.setattr(
        module,
        "workload_of",
        lambda plan, spins: workload.Workload(lambda: workload.sleep("x"), 0.1),
    )  # type: ignore[arg-type]
    run = run_of(max_workers=1)
    with Small(shared) as cluster:
        session = Session(run, cluster)
        session.experiment.carry_out()
    (text, number), *_ = run.steps[0].failures.items()
    assert text.startswith("TypeError: ")
    assert f"1 worker: 1 done, {number} calls failed" in session.output.getvalue()
    assert run.steps[0].complete


def test_calls_measured_before_the_cluster_died_are_kept(
    monkeypatch: pytest.MonkeyPatch, shared: LocalCluster
) -> None:
    monkeypatch.setattr(module, "CHECK_EVERY", 0.0)
    run = run_of(max_workers=1, runtime=60.0)
    with Small(shared) as cluster:
        cluster.fails_at_check = 10
        session = Session(run, cluster)
        with pytest.raises(ClusterStartError, match="worker-1 died"):
            session.experiment.carry_out()
    (step,) = run.steps
    assert not step.complete
    assert len(step.calls) > 0
    assert step.opened <= step.closed
    assert session.saved == 1
    assert "1 worker: 1 done, not complete" in session.output.getvalue()


def test_calls_that_never_come_back_are_recorded_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDSTILL", 0.2)
    monkeypatch.setattr(
        module,
        "workload_of",
        lambda plan, spins: workload.Workload(lambda: workload.sleep(3.0), 0.0),
    )
    run = run_of(max_workers=1)
    with Small() as cluster:
        session = Session(run, cluster)
        with pytest.raises(
            SystemFailureError, match=r"calls are on their way and none came back for 0\.2 s"
        ):
            session.experiment.carry_out()
    (step,) = run.steps
    assert step.lost > 0
    assert not step.complete


def test_workers_that_do_not_come_are_an_error_that_says_how_many_did(
    monkeypatch: pytest.MonkeyPatch, shared: LocalCluster
) -> None:
    monkeypatch.setattr(module, "STANDSTILL", 2.0)
    run = run_of(min_workers=2)
    with Small(shared) as cluster:
        cluster.deaf = True
        with pytest.raises(
            SystemFailureError, match="2 workers were asked for, and 1 answer, for 2 s already"
        ):
            Session(run, cluster).experiment.carry_out()
    assert run.steps == []


def test_ctrl_c_keeps_the_step_that_was_interrupted(shared: LocalCluster) -> None:
    run = run_of(max_workers=1, runtime=60.0)
    with Small(shared) as cluster:
        session = Session(run, cluster)
        show = session.experiment._progress.show

        def interrupt(elapsed: float, returned: int, in_flight: int) -> None:
            show(elapsed, returned, in_flight)
            if returned > 10:
                os.kill(os.getpid(), signal.SIGINT)

        session.experiment._progress.show = interrupt  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            session.experiment.carry_out()
    (step,) = run.steps
    assert len(step.calls) > 10
    assert not step.complete
    assert len(step.calls.created) == len(step.calls.worker)


def kill_redis(cluster: Small) -> None:
    """Kill the server, as the kernel does when memory runs out."""
    lines = mentioning(cluster.broker_url.partition("//")[2]).items()
    (server,) = (
        pid for pid, line in lines if "redis-server" in line and "supervisor.py" not in line
    )
    os.kill(server, signal.SIGKILL)


@pytest.mark.parametrize(
    ("knows", "error"), [(True, ClusterStartError), (False, BrokerUnreachableError)]
)
def test_a_broker_that_dies_during_scaling_is_an_error_with_the_reason_if_known(
    monkeypatch: pytest.MonkeyPatch, knows: bool, error: type[SystemFailureError]
) -> None:
    run = run_of()
    with Small() as cluster:
        url = cluster.broker_url
        monkeypatch.setattr(Small, "broker_url", url)  # Also when it is gone.
        monkeypatch.setattr(cluster, "scale", lambda workers: kill_redis(cluster))
        if not knows:
            monkeypatch.setattr(cluster, "check", lambda: None)
            monkeypatch.setattr(module, "NOTICED_WITHIN", 0.1)
        with pytest.raises(error):
            Session(run, cluster).experiment.carry_out()
    assert run.steps == []
