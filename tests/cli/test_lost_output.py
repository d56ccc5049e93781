"""Commands that go on for long go on without a reader of their output, and without room for it."""

import os
import signal
import sys
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.cli.conftest import COMMAND
from tests.processes import PATIENCE, program, run, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]

CELERY = [sys.executable, "-m", "celery", "-A", "distribute_challenge.execution_backends.celery"]

TALK = """
from distribute_challenge import compute_this

@compute_this
def talk(number):
    print("x" * 100)
    return number

assert list(talk.map(range(100))) == list(range(100))
"""


@pytest.mark.parametrize("command", [COMMAND, CELERY], ids=["our own command", "Celery's"])
@pytest.mark.parametrize("redirection", [">/dev/full 2>&1", ">&- 2>&-"], ids=["full", "closed"])
def test_a_worker_whose_output_cannot_be_written_works(
    redirection: str, command: list[str], server: str, tmp_path: Path
) -> None:
    """It works from its start on."""

    @compute_this
    def talk(number: int) -> int:
        print("x" * 100)
        return number

    url = f"{server}/5"
    start = [
        "sh",
        "-c",
        f'exec "$@" {redirection}',
        "sh",
        *command,
        "worker",
        "--concurrency",
        "1",
        "-n",
        "silent@%h",
    ]
    with (
        program(start, tmp_path, CELERY_BROKER_URL=url) as worker,
        CeleryExecutionBackend(url) as backend,
    ):
        assert [talk(number).compute(backend, timeout=2 * PATIENCE) for number in range(3)] == [
            0,
            1,
            2,
        ]
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0


def test_a_cluster_goes_on_when_the_reader_of_its_output_is_gone(short: Path) -> None:
    """It says so on standard error."""
    pipe, folder = short / "pipe", short / "lost"
    os.mkfifo(pipe)
    folder.mkdir()
    start = ["sh", "-c", 'exec "$@" >"$0"', str(pipe), *COMMAND, "cluster", "--workers", "1"]
    with program(start, short, TMPDIR=str(folder)) as cluster:
        shown = ""
        with pipe.open() as reader:
            while "ready" not in shown:
                shown += reader.readline()
        url = next(
            word for word in shown.split() if word.startswith("CELERY_BROKER_URL=")
        ).partition("=")[2]
        assert run(TALK, short, CELERY_BROKER_URL=url) == ""
        cluster.wait_for("standard output cannot be written, and is lost: Broken pipe\n")
        assert run(TALK, short, CELERY_BROKER_URL=url) == ""
        assert cluster.process.poll() is None
        cluster.send(signal.SIGINT)
        assert cluster.wait() == 0
        assert cluster.output.count("\n") == 1


def test_a_cluster_whose_output_cannot_be_written_starts(short: Path) -> None:
    folder = short / "full"
    folder.mkdir()
    start = ["sh", "-c", 'exec "$@" >/dev/full 2>&1', "sh", *COMMAND, "cluster", "--workers", "1"]
    with program(start, short, TMPDIR=str(folder)) as cluster:
        wait_until(lambda: list(folder.glob("distribute_challenge-*/redis.sock")), "the broker")
        (socket,) = folder.glob("distribute_challenge-*/redis.sock")
        assert run(TALK, short, CELERY_BROKER_URL=f"redis+socket://{socket}") == ""
        cluster.send(signal.SIGINT)
        assert cluster.wait() == 0
