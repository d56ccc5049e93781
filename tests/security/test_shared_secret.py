"""Clients and workers as processes, with secrets that fit and that do not."""

import base64
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.cli import main
from distribute_challenge.errors import SecretError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.security import SECRET_FILE
from tests.calls import wait_for
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, run, wait_until
from tests.secret import SECRET
from tests.workers import start_worker

pytestmark = [pytest.mark.celery, pytest.mark.slow]

VARIABLE = "DISTRIBUTE_CHALLENGE_SECRET"
NEW = "a-new-secret-for-the-times-that-are-to-come"


@compute_this
def parent_of(number: int) -> tuple[int, int]:
    return number, os.getppid()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("r")) as server:
        yield server


def served_by(url: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The worker that serves a new client with this secret."""
    with monkeypatch.context() as context, CeleryExecutionBackend(url) as backend:
        context.setenv(VARIABLE, secret)
        number, pid = parent_of(1).compute(backend, timeout=PATIENCE)
    assert number == 1
    return pid


@pytest.mark.parametrize(
    ("workers", "clients"),
    [(SECRET, NEW), (SECRET, f"{NEW},{SECRET}"), (f"{NEW},{SECRET}", SECRET)],
    ids=["another", "one that signs with another", "one that does not know the worker's"],
)
def test_a_client_with_another_secret_gets_an_error_and_does_not_hang(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str, clients: str
) -> None:
    """This holds if one side could open what the other seals, too: a call takes both."""
    with start_worker(server.url, tmp_path, **{VARIABLE: workers}) as worker:
        worker.wait_for("ready.")
        monkeypatch.setenv(VARIABLE, clients)
        with CeleryExecutionBackend(server.url) as backend:
            future = parent_of(1).submit(backend)
            with pytest.raises(
                SecretError,
                match=r"\(1\) have another secret than this client.*DISTRIBUTE_CHALLENGE_SECRET",
            ):
                future.result(PATIENCE)
        status = CliRunner().invoke(main, ["status", "--broker", server.url]).output
        assert "workers with another secret, which take no calls from here: 1" in status
        assert SECRET not in status + worker.output
        assert NEW not in status + worker.output


def test_the_secret_of_a_cluster_can_be_replaced_in_steps_without_downtime(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps: all know both, all sign with the new one, none knows the old one.

    At each step, programs before and after it work together.
    """
    steps = [SECRET, f"{SECRET},{NEW}", f"{NEW},{SECRET}", NEW]
    for number, (before, after) in enumerate(pairwise(steps)):
        with start_worker(
            server.url, tmp_path, name=f"worker{number}", **{VARIABLE: after}
        ) as worker:
            worker.wait_for("ready.")
            for secret in (before, after):
                assert served_by(server.url, secret, monkeypatch) == worker.process.pid
            worker.process.terminate()
            assert worker.wait() == 0


@pytest.mark.parametrize("encrypt", ["0", "1"], ids=["signed", "encrypted"])
def test_data_in_redis_is_readable_only_without_encryption(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypt: str
) -> None:
    """Without encryption, a reader of Redis sees arguments, results, large values and functions."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ENCRYPT", encrypt)
    folders = [tmp_path / "client", tmp_path / "worker"]
    for folder in folders:
        folder.mkdir()
    # Not the same memory: large values go through Redis.
    here, there = ({"DISTRIBUTE_CHALLENGE_SHARED_FOLDER": str(folder)} for folder in folders)
    monkeypatch.setenv(*here.popitem())
    argument, result = "the argument that is secret", "the result that is secret"
    door, seen = tmp_path / "door", _Seen(server)

    @compute_this
    def secretive(text: str, large: bytes) -> tuple[str, int]:
        return "the result" + text.removeprefix("the argument"), len(large) + len(
            "a function that is secret"
        )

    with (
        start_worker(server.url, tmp_path, **there) as worker,
        CeleryExecutionBackend(server.url) as backend,
        seen,
    ):
        worker.wait_for("ready.")
        first = wait_for(str(door)).submit(backend)
        wait_until(Path(f"{door}.begun").exists)
        second = secretive(argument, argument.encode() * 10_000).submit(backend)
        connection = connect(server.url)
        wait_until(lambda: connection.llen("distribute_challenge\x06\x169") == 1, "a call waits")
        lying = _all_in(connection)
        door.touch()
        assert first.result(PATIENCE) == "done"
        assert second.result(PATIENCE)[0] == result
        wait_until(lambda: b"RPUSH" in seen.all, "the reply was seen")
    words = [argument, result, "a function that is secret"]
    found = [word for word in words if seen.has(word)]
    assert found == ([] if encrypt == "1" else words)
    assert (_hides(lying, argument)) == (encrypt == "1")


def _all_in(connection: redis.Redis) -> bytes:
    read = {
        b"string": connection.get,
        b"hash": connection.hvals,
        b"list": lambda key: connection.lrange(key, 0, -1),
    }
    found = [
        read[kind](key) for key in connection.scan_iter() if (kind := connection.type(key)) in read
    ]
    assert any(b"value:" in key for key in connection.scan_iter()), "a large value lies there"
    return b"".join(
        item for items in found for item in (items if isinstance(items, list) else [items])
    )


class _Seen:
    """All commands that a Redis gets, as MONITOR shows them to a user with that right."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.all = b""

    def __enter__(self) -> "_Seen":
        self._connection = connect(self._server.url).connection_pool.make_connection()
        self._connection.send_command("MONITOR")
        assert self._connection.read_response() == b"OK"
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.send_command("QUIT")
        self._thread.join(PATIENCE)
        self._connection.disconnect()

    def _watch(self) -> None:
        while (line := self._connection.read_response()) != b"OK":
            self.all += line + b"\n"

    def has(self, word: str) -> bool:
        return not _hides(self.all, word)


def _hides(data: bytes, word: str) -> bool:
    """Return whether bytes hold a text neither as it is nor in base64, at any offset."""
    encoded = [base64.b64encode(b"x" * shift + word.encode())[shift + 2 : -4] for shift in range(3)]
    return not any(re.search(re.escape(form), data) for form in (word.encode(), *encoded))


@pytest.fixture
def no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)


@pytest.mark.usefixtures("no_secret")
def test_a_client_without_a_secret_is_told_at_the_line_of_the_call(server: Server) -> None:
    with CeleryExecutionBackend(server.url) as backend:
        for call in (parent_of(1).compute, parent_of(1).submit):
            with pytest.raises(
                SecretError, match=r"needs a secret.*`distribute-challenge secret`.*_INSECURE=1"
            ):
                call(backend)


@pytest.mark.usefixtures("no_secret")
@pytest.mark.parametrize("command", ["worker", "status"])
def test_a_program_without_a_secret_ends_with_the_line_to_write(
    server: Server, command: str
) -> None:
    """It shows no traceback, and no secret that is too short."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    for text, message in (
        ("", "needs a secret, which signs every call"),
        ("too short", "has 9 characters"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "distribute_challenge", command, "--broker", server.url],
            env={**environment, VARIABLE: text},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert "too short" not in done.stdout + done.stderr


@pytest.mark.usefixtures("no_secret")
def test_the_address_of_an_embedded_cluster_and_access_to_its_folder_are_enough(
    tmp_path: Path,
) -> None:
    """A worker and a client of the same user find its secret, and other users cannot read it."""
    with LocalCluster(workers=1) as cluster:
        path = Path(cluster.broker_url.removeprefix("redis+socket://")).parent / SECRET_FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        text = path.read_text()
        surroundings = compute_this(
            lambda: (dict(os.environ), Path("/proc/self/cmdline").read_bytes())
        )().compute()
        assert text not in str(surroundings)
        assert text not in cluster.log()
        with start_worker(cluster.broker_url, tmp_path, name="joined") as worker:
            worker.wait_for("ready.")
            source = """
                import os, sys, time
                from distribute_challenge import compute_this

                @compute_this
                def parent(number):
                    time.sleep(0.05)
                    return os.getppid()

                seen = set()
                deadline = time.monotonic() + 60
                while len(seen) < 2 and time.monotonic() < deadline:
                    seen |= set(parent.map(range(8)))
                print(*seen)
            """
            printed = run(source, tmp_path, CELERY_BROKER_URL=cluster.broker_url)
            assert str(worker.process.pid) in printed.split()
