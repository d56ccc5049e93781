"""A cluster that one starts, scales and ends oneself."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from distribute_challenge import LocalCluster, compute_this, default_backend, local_cluster
from distribute_challenge.errors import ClusterStartError, OptionError, SystemFailureError
from distribute_challenge.execution_backends.celery.broker import control
from tests.calls import meet, wait_for
from tests.processes import (
    PATIENCE,
    command_lines,
    environment,
    mentioning,
    parent,
    run,
    wait_until,
)

pytestmark = [pytest.mark.celery, pytest.mark.slow]
# Workers that are killed save nothing.
unmeasured = pytest.mark.usefixtures("unmeasured")


@pytest.fixture(autouse=True, scope="module")
def no_patience() -> Iterator[None]:
    """Clusters end as those of users do."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", "0")
        yield


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalCluster]:
    """A cluster of two processes. Tests restore its size. Its worker ends itself (coverage)."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", "10")
        cluster = LocalCluster(workers=2).start()
    with cluster:
        yield cluster


def meeting(cluster: LocalCluster, folder: Path, number: int) -> set[int]:
    """Processes of a cluster that run as many calls at the same time."""
    folder.mkdir()
    futures = [meet(str(folder), number).submit(cluster.backend) for _ in range(number)]
    return {future.result(PATIENCE)[0] for future in futures}


def worker_processes(cluster: LocalCluster) -> list[int]:
    """The processes below the worker's main process."""
    workers = [
        pid for pid, line in mentioning(cluster.broker_url).items() if "supervisor.py" not in line
    ]
    # Not by their own command lines, which some packages replace.
    return [pid for pid in command_lines() if parent(pid) in workers]


@unmeasured
def test_calls_inside_the_block_run_on_it_and_calls_after_it_do_not() -> None:
    before = default_backend()
    with LocalCluster(workers=1) as cluster:
        assert default_backend() is cluster.backend
        assert compute_this(os.getppid)().compute() in mentioning(cluster.broker_url)
        url = cluster.broker_url
    assert default_backend() is before
    assert mentioning(url) == {}
    assert not Path(url.removeprefix("redis+socket://")).parent.exists()


@unmeasured
def test_an_error_in_the_block_ends_the_cluster() -> None:
    cluster = LocalCluster(workers=1)

    def fail() -> None:
        with cluster:
            raise KeyError(cluster.broker_url)

    with pytest.raises(KeyError) as caught:
        fail()
    assert mentioning(caught.value.args[0]) == {}


def test_the_number_of_workers_defaults_to_the_number_of_cores(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    assert LocalCluster().workers == len(
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [1]
    )
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "7")
    assert LocalCluster().workers == 7


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True])
def test_an_invalid_number_of_workers_is_refused(workers: Any, shared: LocalCluster) -> None:
    with pytest.raises(OptionError, match=r"workers=.*: expected a whole number of at least 1"):
        LocalCluster(workers=workers)
    with pytest.raises(OptionError, match=r"workers=.*: expected a whole number of at least 1"):
        shared.scale(workers)
    assert shared.workers == 2


def test_the_cluster_scales_up_and_down_without_losing_a_running_call(
    shared: LocalCluster, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    running = wait_for(str(door)).submit(shared.backend)
    wait_until((tmp_path / "door.begun").exists)
    shared.scale(4)
    assert shared.workers == 4
    assert len(meeting(shared, tmp_path / "three", 3)) == 3
    shared.scale(1)  # The busy one is left.
    assert shared.workers == 1
    assert not running.done()
    wait_until(lambda: len(worker_processes(shared)) == 1, "the end of three processes")
    door.touch()
    assert running.result(PATIENCE) == "done"
    assert set(compute_this(os.getpid).starmap([()] * 20, backend=shared.backend)) == set(
        worker_processes(shared)
    )
    shared.scale(2)
    assert len(meeting(shared, tmp_path / "two", 2)) == 2


def test_the_worker_is_asked_again_if_the_broker_does_not_answer(
    shared: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = control.scale
    asked: list[int] = []

    def scale_at_the_second_time(broker_url: str, workers: int) -> int | None:
        asked.append(workers)
        if len(asked) == 1:
            raise redis.ConnectionError("gone")
        return scale(broker_url, workers)

    monkeypatch.setattr(control, "scale", scale_at_the_second_time)
    shared.scale(2)
    assert len(asked) > 1


def test_calls_that_run_are_not_interrupted_to_scale_down(
    shared: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for them, and says so if that takes too long."""
    door = tmp_path / "door"
    running = [wait_for(str(door) + str(number)).submit(shared.backend) for number in range(2)]
    for number in range(2):
        wait_until((tmp_path / f"door{number}.begun").exists)
    with monkeypatch.context() as context:
        context.setattr(local_cluster, "SCALE_DEADLINE", 0.1)
        with pytest.raises(
            SystemFailureError, match=r"has 2 worker processes and not 1 after 0\.1 s"
        ):
            shared.scale(1)
    assert shared.workers == 2
    (tmp_path / "door0").touch()
    shared.scale(1)
    (tmp_path / "door1").touch()
    assert [future.result(PATIENCE) for future in running] == ["done", "done"]
    shared.scale(2)


def test_another_process_joins_by_its_address(shared: LocalCluster) -> None:
    source = "import os\nfrom distribute_challenge import compute_this\nprint(compute_this(lambda: os.getpid())().compute())"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=environment(CELERY_BROKER_URL=shared.broker_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert int(done.stdout) in worker_processes(shared)


def test_the_log_has_what_a_function_prints_and_logs_in_order_and_with_its_name(
    shared: LocalCluster,
) -> None:
    def report(subject: str) -> None:
        import logging
        import sys

        print(f"{subject} one")
        logging.getLogger("study").warning("%s two", subject)
        print(f"{subject} three", file=sys.stderr)
        print(f"{subject} fo", end="")
        print("ur")
        logging.getLogger("study").info("%s five", subject)

    compute_this(report)("gamma").compute(shared.backend, timeout=PATIENCE)
    lines = [line for line in shared.log().splitlines() if "gamma" in line]
    assert [line.rpartition("] ")[2] for line in lines] == [
        f"gamma {n}" for n in ("one", "two", "three", "four", "five")
    ]
    assert all(re.search(r"\[\S*report\]", line) for line in lines), lines


def test_blas_threads_of_all_workers_together_are_as_many_as_cores(shared: LocalCluster) -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        expected = os.environ.get(variable, str(max(1, (os.cpu_count() or 1) // 2)))
        assert (
            compute_this(os.getenv)(variable).compute(shared.backend, timeout=PATIENCE) == expected
        )


def test_each_worker_process_draws_random_numbers_of_its_own(
    shared: LocalCluster, tmp_path: Path
) -> None:
    numpy = pytest.importorskip("numpy")

    def draw(folder: str) -> tuple[int, float, float]:
        import random

        return meet.local(folder, 2), random.random(), float(numpy.random.random())

    futures = [compute_this(draw)(str(tmp_path)).submit(shared.backend) for _ in range(2)]
    (pid, plain, array), other = (future.result(PATIENCE) for future in futures)
    assert pid != other[0]
    assert plain != other[1]
    assert array != other[2]


@unmeasured
def test_a_cluster_is_closed_once_and_answers_clearly_afterwards() -> None:
    cluster = LocalCluster(workers=1)
    assert cluster.start() is cluster
    url = cluster.broker_url
    assert cluster.start().broker_url == url  # It is running already.
    assert compute_this(len)("abc").compute(cluster.backend, timeout=PATIENCE) == 3
    cluster.check()
    cluster.close()
    cluster.close()
    assert cluster.log() == ""
    for use in (
        cluster.check,
        lambda: cluster.scale(2),
        lambda: cluster.broker_url,
        lambda: compute_this(len)("abc").compute(cluster.backend, timeout=PATIENCE),
    ):
        with pytest.raises(
            ClusterStartError, match="it has not been started, or it has been closed"
        ):
            use()
    with cluster:  # A new one.
        assert cluster.broker_url != url
        assert compute_this(len)("abcd").compute() == 4


@unmeasured
@pytest.mark.parametrize("victim", ["worker", "supervisor"])
def test_a_cluster_that_dies_while_it_is_scaled_is_an_error(victim: str) -> None:
    """This holds whatever Celery's remote control makes of a broker that is gone."""
    with LocalCluster(workers=1) as cluster:
        wait_until(lambda: worker_processes(cluster), "a worker process")
        cluster.scale(2)
        worker = parent(worker_processes(cluster)[0])
        os.kill(worker if victim == "worker" else parent(worker), signal.SIGKILL)
        with pytest.raises(ClusterStartError, match=r"worker process died|supervisor was killed"):
            cluster.scale(3)


FORK = """
import os, sys
from distribute_challenge import LocalCluster, compute_this

@compute_this
def square(x):
    return x * x

with LocalCluster(workers=1) as cluster:
    assert square(2).compute() == 4
    child = os.fork()
    if child == 0:
        %s
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print("parent", square(3).compute(timeout=60), sum(square.map(range(100))))
"""


@pytest.mark.parametrize(
    ("child", "output"),
    [
        pytest.param(
            "print('child', square(4).compute(timeout=60)); sys.stdout.flush(); os._exit(0)",
            "child 16\n",
            id="calls",
        ),
        pytest.param("sys.exit()", "", id="leaves the block"),
        pytest.param("os._exit(0)", "", id="ends at once"),
    ],
)
def test_a_child_forked_inside_the_block_leaves_its_parent_s_cluster_alone(
    child: str, output: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if child == "os._exit(0)":
        request.getfixturevalue("unmeasured")
    assert run(FORK % child, tmp_path) == f"{output}parent 9 328350\n"
