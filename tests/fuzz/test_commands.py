"""The commands that look at a cluster, with a real worker and an attacker who answers for it."""

import json
import os
import socket
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from distribute_challenge import compute_this
from distribute_challenge.cli import main
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from tests.execution_backends.celery.conftest import Server
from tests.fuzz.forger import answer, forging
from tests.fuzz.mutation import Mutator
from tests.processes import PATIENCE, Program, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]

WORKER = f"worker@{socket.gethostname()}"
NASTY = "w\x1b]0;owned\x07\x1b[2J\r\nworker@here answered in 0.1 ms\u202e"


@compute_this
def wait_for(door: str) -> None:
    Path(f"{door}.begun").touch()
    while not os.path.exists(door):
        time.sleep(0.005)


def forged_by(mutator: Mutator, valid: Any) -> list[bytes]:
    """Answers that no worker gave: in the right form, nearly in it, and in none."""
    answers = [
        answer({mutator.random.choice([NASTY, WORKER, "\ud800", "x" * 300]): mutator.json(valid)})
        for _ in range(30)
    ]
    answers += [
        json.dumps({"body": b64encode(mutator.text({NASTY: valid})).decode()}).encode()
        for _ in range(30)
    ]
    answers += [mutator.raw([answer({NASTY: valid})]) for _ in range(30)]
    mutator.random.shuffle(answers)
    # The last is read first.
    return [answer({NASTY: valid}), *answers, b"[" * 50_000, b"\xff\xfe", answer([NASTY])]


def assert_shown_safely(done: Result) -> None:
    """It ended in its own words, on lines that do nothing to a terminal."""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert "Traceback" not in done.output
    for line in done.output.split("\n"):
        assert line.isprintable(), line


@pytest.mark.usefixtures("real_worker")
def test_ping_copes_with_forged_answers(server: Server) -> None:
    """`ping` waits for named workers. Among all, it shows answers in a worker's form safely."""
    mutator = Mutator(31)
    left_out, deadline = 0, time.monotonic() + 2 * PATIENCE
    with forging(server.url, lambda: forged_by(mutator, {"ok": "pong"})):
        while left_out < 20:  # Now and then the worker is quicker.
            assert time.monotonic() < deadline
            for names in ([], [WORKER]):
                done = CliRunner().invoke(
                    main, ["ping", "--broker", server.url, "--timeout", str(PATIENCE), *names]
                )
                assert_shown_safely(done)
                assert done.exit_code == 0, done.output
                left_out += done.stderr.startswith("left out: ")
                if names:
                    assert [line.split()[0] for line in done.stdout.splitlines()] == names


def test_status_copes_with_forged_answers(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """It shows the workers, as their signs of life are signed."""
    mutator = Mutator(32)
    door = str(tmp_path / "door")
    future = wait_for(door).submit(backend)
    wait_until(Path(f"{door}.begun").exists)
    left_out, deadline = 0, time.monotonic() + 2 * PATIENCE
    with forging(server.url, lambda: forged_by(mutator, [{"name": f"f{NASTY}", "worker_pid": 1}])):
        while left_out < 20:
            assert time.monotonic() < deadline
            for options in ([], ["--json"]):
                done = CliRunner().invoke(main, ["status", "--broker", server.url, *options])
                assert_shown_safely(done)
                assert done.exit_code == 0, done.output
                if options:
                    found = json.loads(done.stdout)
                    assert [worker["pid"] for worker in found["workers"]] == [
                        real_worker.process.pid
                    ]
                    left_out += bool(found["left_out"])
                else:
                    assert WORKER in done.stdout
                    left_out += done.stderr.startswith("left out: ")
    Path(door).touch()
    future.result(PATIENCE)
