"""Passwords and secrets show neither in logs nor errors, process lists, or output of commands."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.cli import broker as broker_module
from distribute_challenge.cli import main
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.client.client import Client
from distribute_challenge.execution_backends.celery.worker import command_line
from distribute_challenge.security import Keyring, new_secret
from tests.cli.conftest import COMMAND, PASSWORD, host
from tests.processes import PATIENCE, Program, command_lines, environment, program

pytestmark = [pytest.mark.celery, pytest.mark.slow]

CELERY = [sys.executable, "-m", "celery", "-A", "distribute_challenge.execution_backends.celery"]


@pytest.fixture(scope="module")
def secret() -> Iterator[str]:
    """The cluster's, in the environment of clients and workers."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_SECRET", secret := new_secret())
        yield secret


@pytest.fixture(scope="module")
def url(server: str) -> str:
    return f"{server}/11"


@pytest.fixture(scope="module")
def worker(url: str, secret: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A worker that logs all there is to log, and got its password on the command line."""
    options = ["--broker", url, "--loglevel", "DEBUG", "--concurrency", "1", "--name", "secretive"]
    with program([*COMMAND, "worker", *options], tmp_path_factory.mktemp("worker")) as running:
        running.wait_for("secretive@")
        running.wait_for("ready.")
        yield running


def family(pid: int) -> list[str]:
    """Command lines of a process and of its children."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pids = {
        int(child)
        for child, parent in map(str.split, listing.splitlines())
        if pid in (int(child), int(parent))
    }
    return [line for number, line in command_lines().items() if number in pids]


# --- lists of processes


def test_a_worker_takes_the_password_off_its_command_line_and_says_so(worker: Program) -> None:
    lines = family(worker.process.pid)
    assert len(lines) >= 2  # One of its own, and one for its child.
    assert not [line for line in lines if PASSWORD in line or "--broker" in line]
    assert all("--name secretive" in line for line in lines)
    assert worker.output.startswith(
        "Warning: the password in --broker stood on a command line for a moment"
    )
    assert "set DISTRIBUTE_CHALLENGE_BROKER_URL or CELERY_BROKER_URL instead" in worker.output


@pytest.mark.parametrize(
    "option", [["--broker", "{}"], ["--broker={}"]], ids=["two words", "one word"]
)
@pytest.mark.parametrize("command", ["status", "ping"])
def test_status_and_ping_take_the_password_off_their_command_line_and_warn(
    command: str, option: list[str], url: str, worker: Program
) -> None:
    more = ["--timeout", str(PATIENCE)] if command == "ping" else []
    done = subprocess.run(
        [*COMMAND, command, *(word.format(url) for word in option), *more],
        env=environment(CELERY_BROKER_URL="redis://another:1"),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert host("secretive") in done.stdout
    assert done.stderr.startswith("Warning: the password in --broker")
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [
        (["-m", "x", "ping", "--broker", "redis://:p@h", "a"], ["-m", "x", "ping", "a"]),
        (["x", "ping", "a", "--broker=redis://:p@h"], ["x", "ping", "a"]),
        (["x", "--broker=redis://:p@h", "--broker", "redis://:p@h"], ["x"]),
        (["x", "ping", "--broker", "redis://h"], ["x", "ping", "--broker", "redis://h"]),
        (
            ["-c", "main(['ping', '--broker', 'redis://:p@h'])"],
            ["-c", "main(['ping', '--broker', 'redis://:p@h'])"],
        ),
    ],
)
def test_only_the_broker_option_is_removed_from_a_command_line(
    arguments: list[str], rest: list[str]
) -> None:
    assert broker_module._without(arguments, "redis://:p@h") == rest


def test_a_password_on_the_command_line_of_celery_is_logged_as_a_warning(
    url: str, secret: str, tmp_path: Path
) -> None:
    """Its log has the warning. setproctitle, if installed, shows no password."""
    (tmp_path / "setproctitle.py").write_text(
        "def setproctitle(title):\n    open('titles', 'a').write(title + '\\n')\ndef "
        "getproctitle():\n    return ''\n"
    )
    command = [*CELERY, "--broker", url, "worker", "-c1", "-n", "plain@%h", "-lINFO"]
    with program(command, tmp_path, PYTHONPATH=str(tmp_path)) as worker:
        output = worker.wait_for("ready.")
        assert f" WARNING MainProcess [-] {command_line.WARNING}\n" in output
        assert PASSWORD not in output
        titles = (tmp_path / "titles").read_text()
        assert "--broker redis://:***@127.0.0.1" in titles
        assert PASSWORD not in titles
        worker.process.terminate()
        assert worker.wait() == 0


def test_a_celery_command_line_without_a_password_gets_no_warning(
    url: str, secret: str, tmp_path: Path
) -> None:
    with program(
        [*CELERY, "worker", "-c1", "-n", "plain@%h", "-lINFO"], tmp_path, CELERY_BROKER_URL=url
    ) as worker:
        assert command_line.WARNING not in worker.wait_for("ready.")
        worker.process.terminate()
        assert worker.wait() == 0


# --- logs, and what commands print


def test_debug_logs_of_client_and_worker_contain_no_password_or_secret(
    url: str, worker: Program, secret: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def fail() -> None:
        import logging

        logging.getLogger("study").debug("this worker is loud")
        raise ValueError("no luck")

    caplog.set_level(logging.DEBUG)
    with CeleryExecutionBackend(url) as backend:
        with pytest.raises(ValueError, match="no luck") as caught:
            compute_this(fail)().compute(backend, timeout=PATIENCE)
        assert list(compute_this(len).map(["a"] * 50, backend=backend)) == [1] * 50
    worker.wait_for("this worker is loud")
    shown = [
        worker.output,
        caplog.text,
        "".join(map(str, getattr(caught.value, "__notes__", []))),
        CliRunner().invoke(main, ["status", "--broker", url]).output,
        CliRunner().invoke(main, ["ping", "--broker", url, "--timeout", str(PATIENCE)]).output,
    ]
    assert host("secretive") in shown[-1]
    assert not [text for text in shown if PASSWORD in text or secret in text]


@pytest.mark.parametrize("question", ["conf", "stats", "report"])
def test_answers_to_celery_inspect_contain_no_password_or_secret(
    question: str, url: str, worker: Program, secret: str
) -> None:
    """What Flower asks of a worker."""
    done = subprocess.run(
        [*CELERY, "inspect", question, "--timeout", "5", "--json"],
        env=environment(CELERY_BROKER_URL=url),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert PASSWORD not in done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr


def test_no_key_in_redis_contains_the_password_or_the_secret(
    url: str, worker: Program, secret: str
) -> None:
    """Others may read that."""
    with connect(url) as connection, CeleryExecutionBackend(url) as backend:
        future = compute_this(len)("abc").submit(backend)
        assert future.result(PATIENCE) == 3
        seen = []
        for key in connection.scan_iter():
            seen += [key, connection.dump(key) or b""]
    assert seen
    assert not [text for text in seen if PASSWORD.encode() in text or secret.encode() in text]


# --- representations


def test_no_repr_or_str_contains_the_password_or_the_secret(
    url: str, worker: Program, secret: str
) -> None:
    keyring = Keyring(f"{secret},{new_secret()}")
    backend = CeleryExecutionBackend(url)
    client = Client(url)
    things: list[object] = [keyring, backend, client, connect(url), LocalCluster(workers=1)]
    try:
        assert compute_this(len)("abc").compute(backend, timeout=PATIENCE) == 3
        shown = [text for thing in things for text in (repr(thing), str(thing), f"{thing}")]
    finally:
        backend.close()
        client.close()
    assert not [text for text in shown if PASSWORD in text or secret in text]


def test_a_keyring_shows_the_names_of_its_secrets() -> None:
    """The first signs. Equal names are equal secrets, and a name tells nothing else of one."""
    first, second = new_secret(), new_secret()
    names = [Keyring(text).identity for text in (first, second)]
    assert repr(Keyring(f"{first},{second}")) == f"<Keyring {names[0]}, {names[1]}>"
    assert repr(Keyring(first, encrypt=True)) == f"<Keyring {names[0]} encrypting>"
