"""The commands ``dashboard`` and ``top``."""

import os
import pty
import re
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from distribute_challenge import LocalCluster
from distribute_challenge.cli import main
from distribute_challenge.dashboard import serving
from tests.cli.conftest import COMMAND
from tests.optional import needed
from tests.processes import PATIENCE, Program, environment, program, wait_until

needed("uvicorn")

pytestmark = [pytest.mark.celery, pytest.mark.slow]


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_shows_an_address_and_serves_there_until_it_is_told_to_end(
    broker: str, tmp_path: Path, number: signal.Signals
) -> None:
    command = [*COMMAND, "dashboard", "--port", "0"]
    with program(command, tmp_path, CELERY_BROKER_URL=broker) as running:
        output = running.wait_for("Ctrl+C ends the dashboard.")
        address = output.splitlines()[0]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", address)

        def page() -> str:
            with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
                return str(answer.read().decode())

        assert "<title>Cluster</title>" in page()
        snapshot = address.replace("/?", "/api/snapshot?")
        with urllib.request.urlopen(snapshot, timeout=PATIENCE) as answer:
            text = answer.read().decode()
        assert "***" in text
        assert broker.split("@")[0].rpartition(":")[2] not in text  # The password.
        running.send(number)
        assert running.wait() in (0, -number)
        assert "Traceback" not in running.output


def test_a_port_that_is_in_use_is_an_error_with_a_way_out(broker: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = CliRunner().invoke(main, ["dashboard", "--port", port, "--broker", broker])
    assert done.exit_code == 1
    assert f"Error: cannot listen at 127.0.0.1, port {port} (" in done.output
    assert "choose another --port" in done.output


def test_a_missing_package_is_an_error_with_the_line_to_write(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    done = CliRunner().invoke(main, ["dashboard", "--broker", broker])
    assert done.exit_code == 1
    assert 'pip install "distribute-challenge[dashboard]"' in done.output


@pytest.mark.usefixtures("first")
def test_top_prints_what_the_cluster_does(broker: str, first: Program) -> None:
    done = CliRunner().invoke(main, ["top", "--broker", broker, "-n", "2", "-e", "0.1"])
    assert done.exit_code == 0, done.output
    assert done.output.count("workers: ") == 2
    assert "first@" in done.output
    assert "\x1b" not in done.output


@pytest.mark.usefixtures("first")
def test_top_draws_over_what_it_drew_in_a_terminal(broker: str) -> None:
    """Ctrl+C leaves the terminal as it was."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "top", "-e", "0.1"],
        stdin=there,
        stdout=there,
        stderr=there,
        env=environment(CELERY_BROKER_URL=broker, COLUMNS="100", LINES="30"),
    )
    os.close(there)
    written = bytearray()

    def read(until: bytes, count: int = 1) -> bool:
        written.extend(os.read(here, 65_536))
        return written.count(until) >= count

    wait_until(lambda: read(b"\x1b[H", 2), "two screens")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: read(b"\x1b[?1049l"), "the end")
    assert process.wait(PATIENCE) == 0
    os.close(here)
    assert b"first@" in written
    assert b"Traceback" not in written


def test_top_ends_when_redis_goes_away(tmp_path: Path) -> None:
    cluster = LocalCluster(1).start()
    with program(
        [*COMMAND, "top", "-e", "0.1"], tmp_path, CELERY_BROKER_URL=cluster.broker_url
    ) as running:
        running.wait_for("workers: ")
        cluster.close()
        assert running.wait() == 1
        assert "Error: no Redis answers" in running.output


def test_top_needs_a_redis() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = CliRunner().invoke(main, ["top", "--broker", f"redis://127.0.0.1:{port}"])
    assert done.exit_code == 1
    assert "no Redis answers" in done.output
