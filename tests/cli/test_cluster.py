"""``cluster`` keeps a cluster in the foreground, for scripts that run elsewhere on this machine."""

import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distribute_challenge.cli import cluster as module
from distribute_challenge.execution_backends.celery.broker import connection, presence
from tests.cli.conftest import COMMAND
from tests.processes import mentioning, program, run

pytestmark = [pytest.mark.celery, pytest.mark.slow]

WHO = "import os\nfrom distribute_challenge import compute_this\nprint(compute_this(lambda: os.getpid())().compute())"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "SIGTERM"])
def test_the_printed_export_line_connects_scripts_until_the_cluster_is_stopped(
    number: signal.Signals, short: Path
) -> None:
    with program([*COMMAND, "cluster", "--workers", "1"], short, TMPDIR=str(short)) as cluster:
        output = cluster.wait_for("Ctrl+C ends the cluster.\n")
        assert output.startswith("1 worker processes are starting.")
        (export,) = re.findall(r"^ +export CELERY_BROKER_URL=(\S+)$", output, re.MULTILINE)
        workers = {run(WHO, short, CELERY_BROKER_URL=export) for _ in range(2)}
        assert {int(pid) for pid in workers} <= set(mentioning(export))
        assert len(workers) == 1  # It is there for any number of scripts.
        cluster.send(number)
        assert cluster.wait() == 0
    assert mentioning(export) == {}
    assert list(short.glob("distribute_challenge-*")) == []


def test_the_cluster_command_shows_prints_of_calls_and_warnings_of_workers(short: Path) -> None:
    """It shows it once it is ready, also of calls' programs, without other lines of workers."""
    source = """
        import logging, subprocess, sys, threading
        from distribute_challenge import compute_this

        @compute_this
        def say(x):
            print("said", x)
            print("complained", file=sys.stderr)
            subprocess.run(["echo", "from a program"], check=True)
            thread = threading.Thread(target=print, args=["from a thread"])
            thread.start()
            thread.join()
            logging.getLogger("distribute_challenge").warning("of the worker: %d", x)

        say(3).compute()
        """
    with program([*COMMAND, "cluster", "--workers", "1"], short, TMPDIR=str(short)) as cluster:
        (export,) = re.findall(r"CELERY_BROKER_URL=(\S+)", cluster.wait_for("\nready\n"))
        assert run(source, short, CELERY_BROKER_URL=export) == ""
        shown = cluster.wait_for("of the worker: 3\n").partition("\nready\n")[2].splitlines()
        assert shown == [
            "say@worker-1 │ said 3",
            "say@worker-1 │ complained",
            "from a program",
            "worker-1 │ from a thread",
            "say@worker-1 │ of the worker: 3",
        ]
        (folder,) = short.glob("distribute_challenge-*")
        with (folder / "worker.log").open("a") as log:
            log.write("2026-01-01 00:00:00,000 INFO MainProcess [-] chatter\n")
            log.write("2026-01-01 00:00:00,000 WARNING MainProcess [-] of the main process\nhalf a")
            log.flush()
            cluster.wait_for("worker │ of the main process\n")
            log.write(" line\n")
        assert "chatter" not in cluster.wait_for("\nhalf a line\n")
        cluster.send(signal.SIGINT)
        assert cluster.wait() == 0


def test_the_number_of_workers_defaults_to_the_environment_variable(short: Path) -> None:
    with program(
        [*COMMAND, "cluster"], short, TMPDIR=str(short), DISTRIBUTE_CHALLENGE_WORKERS="1"
    ) as cluster:
        cluster.wait_for("1 worker processes are starting.")
        cluster.wait_for("Ctrl+C")
        cluster.send(signal.SIGINT)
        assert cluster.wait() == 0


def test_the_cluster_command_ends_with_the_reason_when_the_cluster_dies(short: Path) -> None:
    with program([*COMMAND, "cluster", "-w", "1"], short, TMPDIR=str(short)) as cluster:
        cluster.wait_for("Ctrl+C")
        (folder,) = short.glob("distribute_challenge-*")

        def servers() -> list[int]:
            return [
                pid
                for pid, line in mentioning(folder.name).items()
                if "-server" in line and "supervisor" not in line
            ]

        os.kill(servers()[0], signal.SIGKILL)
        assert cluster.wait() == 1
        assert (
            "Error: the embedded cluster's redis process died (exit code -9); its last lines:"
            in cluster.output
        )
        assert "Traceback" not in cluster.output
    assert mentioning(folder.name) == {}


def test_the_cluster_command_ends_with_the_reason_if_the_cluster_does_not_start(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho no memory left\nexit 3\n")
    (tmp_path / "redis-server").chmod(0o755)
    with program(
        [*COMMAND, "cluster"], tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}"
    ) as cluster:
        assert cluster.wait() == 1
        assert cluster.output.startswith(
            "Error: the embedded cluster's redis process died (exit code 3)"
        )
        assert cluster.output.endswith("no memory left\n")


def test_the_cluster_is_ready_when_the_first_worker_is_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not ready at its first look."""
    stops, found = iter([False, False, True]), iter([[], ["a worker"]])
    monkeypatch.setattr(connection, "connect", lambda url: None)
    monkeypatch.setattr(presence, "workers", lambda connection: next(found))
    (tmp_path / "log").touch()
    running: Any = SimpleNamespace(broker_url="", check=lambda: None, log_file=tmp_path / "log")
    stop: Any = SimpleNamespace(wait=lambda seconds: next(stops))
    module._watch(running, stop)
    assert capsys.readouterr().out == "ready\n"
