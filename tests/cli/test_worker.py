"""Workers started from the command line join a cluster, take part, and leave when they are told."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from distribute_challenge import compute_this
from distribute_challenge.cli import main
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.ping import ping
from distribute_challenge.execution_backends.celery.broker.presence import workers
from distribute_challenge.execution_backends.celery.worker import main as celery_worker
from tests.calls import meet, wait_for
from tests.cli.conftest import COMMAND, PASSWORD, host
from tests.processes import PATIENCE, Program, environment, parent, program, wait_until

pytestmark = pytest.mark.celery

cli_worker = importlib.import_module(
    "distribute_challenge.cli.worker"
)  # The package gives the command of this name.


@pytest.mark.slow
def test_a_worker_says_what_it_does_without_its_password(first: Program) -> None:
    assert (
        "worker first: 1 process, queues distribute_challenge, broker redis://:***@127.0.0.1:"
        in first.output
    )
    assert PASSWORD not in first.output


@pytest.mark.slow
def test_a_second_worker_joins_and_takes_part(
    first: Program, second: Program, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    futures = [meet(str(tmp_path), 2).submit(backend) for _ in range(2)]
    assert {future.result(PATIENCE)[1] for future in futures} == {
        first.process.pid,
        second.process.pid,
    }


@pytest.mark.usefixtures("first")
def test_a_worker_serves_the_queues_it_was_given(
    second: Program, backend: CeleryExecutionBackend
) -> None:
    urgent = compute_this(os.getppid, queue="urgent")
    assert {urgent().compute(backend, timeout=PATIENCE) for _ in range(4)} == {second.process.pid}


@pytest.mark.usefixtures("second")
def test_a_worker_logs_no_more_than_asked_for(
    second: Program, backend: CeleryExecutionBackend
) -> None:
    def report() -> None:
        import logging

        logging.getLogger("study").info("too quiet to be seen")
        logging.getLogger("study").warning("loud enough")

    compute_this(report, queue="urgent")().compute(backend, timeout=PATIENCE)
    second.wait_for("loud enough")
    assert "too quiet" not in second.output


@pytest.mark.slow
def test_two_workers_of_a_machine_get_different_default_names(server: str, tmp_path: Path) -> None:
    """`status` and `ping` go by the name, as Celery's own tools do."""
    url = f"{server}/4"
    command = [*COMMAND, "worker", "--broker", url, "-c", "1"]
    with (
        program(command, tmp_path) as one,
        program(command, tmp_path) as two,
        connect(url) as connection,
    ):
        names = {host(f"worker-{each.process.pid}") for each in (one, two)}
        assert ping(connection, names, timeout=PATIENCE).keys() == names
        assert {worker.name for worker in workers(connection)} == names


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 1)])
def test_a_worker_that_is_told_to_stop_finishes_what_runs(
    number: signal.Signals, code: int, server: str, tmp_path: Path
) -> None:
    url = f"{server}/1"
    door = tmp_path / "door"
    with (
        program(
            [*COMMAND, "worker", "--broker", url, "-c", "1", "-n", "leaving"], tmp_path
        ) as worker,
        CeleryExecutionBackend(url) as backend,
    ):
        future = wait_for(str(door)).submit(backend)
        wait_until(Path(f"{door}.begun").exists)
        worker.send(number)
        worker.wait_for("arm shutdown")
        assert not future.done()
        door.touch()
        assert future.result(PATIENCE) == "done"
        assert worker.wait() == code
        with redis.Redis.from_url(url) as connection:
            assert workers(connection) == []


@pytest.mark.parametrize("queues", ["", ",", " , "])
def test_a_queues_option_without_a_queue_name_is_refused(queues: str) -> None:
    done = CliRunner().invoke(
        main, ["worker", "--broker", "redis://127.0.0.1:1", "--queues", queues]
    )
    assert done.exit_code == 2
    assert f"{queues!r} names no queue" in done.output


@pytest.mark.parametrize("options", [["--concurrency", "0"], ["--loglevel", "LOUD"]])
def test_invalid_concurrency_and_log_level_are_refused(options: list[str]) -> None:
    assert CliRunner().invoke(main, ["worker", *options]).exit_code == 2


@pytest.mark.slow
def test_celery_s_own_command_starts_a_worker_and_sees_readable_names(
    server: str, tmp_path: Path
) -> None:
    url = f"{server}/2"
    celery = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "distribute_challenge.execution_backends.celery",
    ]
    door = tmp_path / "door"
    with (
        program(
            [*celery, "worker", "--concurrency", "1", "-n", "plain@%h"],
            tmp_path,
            CELERY_BROKER_URL=url,
        ) as worker,
        CeleryExecutionBackend(url) as backend,
    ):
        assert compute_this(os.getppid)().compute(backend, timeout=PATIENCE) == worker.process.pid
        future = wait_for(str(door)).submit(backend)
        wait_until(Path(f"{door}.begun").exists)
        asked = subprocess.run(
            [*celery, "inspect", "active"],
            env=environment(CELERY_BROKER_URL=url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert host("plain") in asked.stdout
        assert "'name': 'wait_for'" in asked.stdout
        door.touch()
        assert future.result(PATIENCE) == "done"
        child = compute_this(os.getpid)().compute(backend, timeout=PATIENCE)
        assert parent(child) == worker.process.pid
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0


@pytest.mark.parametrize("size", ["0", "-1", "much", "5X", "1.5.5G", ""])
def test_sizes_that_mean_nothing_are_refused(size: str) -> None:
    done = CliRunner().invoke(main, ["worker", "--max-memory", size])
    assert done.exit_code == 2
    assert f"{size!r} is not a size of memory; write it like 500M or 2G" in " ".join(
        done.output.split()
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("500M", 500 << 20),
        ("2g", 2 << 30),
        ("1.5 GB", 3 << 29),
        ("1000000", 10**6),
        ("7KiB", 7 << 10),
    ],
)
def test_limits_of_processes_reach_the_worker(
    monkeypatch: pytest.MonkeyPatch, size: str, expected: int
) -> None:
    """They are in calls and in bytes."""
    seen: dict[str, object] = {}
    monkeypatch.setattr(
        celery_worker, "run_worker", lambda url, **options: seen.update(options) or 0
    )
    monkeypatch.setattr(cli_worker, "checked_broker", lambda url: "redis://127.0.0.1:1")
    assert (
        CliRunner().invoke(main, ["worker", "--max-calls", "10", "--max-memory", size]).exit_code
        == 0
    )
    assert seen["max_calls"] == 10
    assert seen["max_memory"] == expected
