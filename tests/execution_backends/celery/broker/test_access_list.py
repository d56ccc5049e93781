"""The Redis user of docs/security.md may do all that the library needs, and nothing else."""

import os
import queue
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from click.testing import CliRunner

from distribute_challenge import Queue, compute_this, put
from distribute_challenge.cli import main
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.control import active
from distribute_challenge.security import new_secret
from tests.calls import wait_for
from tests.docker_engine import CHECKOUT
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import Program, program, wait_until

pytestmark = pytest.mark.celery

WORKER = [sys.executable, "-m", "distribute_challenge", "worker", "--concurrency", "1", "--name"]


def documented() -> list[str]:
    """The command, as a shell would take it apart."""
    page = (CHECKOUT / "docs" / "security.md").read_text()
    block = page.partition("<!-- command: access list -->\n```bash\n")[2].partition("```")[0]
    return shlex.split(block.replace("\\\n", " "))


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The server, for that user. Large values take the way through it."""
    program, *command = documented()
    assert program == "redis-cli"
    assert connect(server.url).execute_command(*command)
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SECRET", new_secret())
    return server.url.replace("redis+socket://", "redis+socket://cluster:password@")


@pytest.fixture
def workers(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Program]]:
    """Two, that see none of the client's shared memory."""
    (tmp_path / "memory").mkdir()
    variables = {
        "CELERY_BROKER_URL": url,
        "DISTRIBUTE_CHALLENGE_SHARED_FOLDER": str(tmp_path / "memory"),
    }
    with (
        program([*WORKER, "one"], tmp_path / "one", **variables) as one,
        program([*WORKER, "two"], tmp_path / "two", **variables) as two,
    ):
        one.wait_for("ready.")
        two.wait_for("ready.")
        yield {"one": one, "two": two}


def denied(server: Server) -> list[str]:
    """What was refused so far. Older servers do not know what redis-py says of itself."""
    entries = connect(server.url).acl_log()
    return [
        f"{entry['reason']} {entry['object']}"
        for entry in entries
        if entry["object"] not in ("client", "client|setinfo")
    ]


@pytest.mark.slow
def test_the_documented_redis_user_may_run_everything_that_the_library_needs(
    server: Server, url: str, workers: dict[str, Program], tmp_path: Path
) -> None:
    """Calls, large values, priorities, cancelling, losses, commands and remote control work."""

    def die() -> None:
        os._exit(1)

    with CeleryExecutionBackend(url) as backend:
        assert list(compute_this(abs).map(range(500), backend=backend)) == list(range(500))
        assert compute_this(len, priority=9)("abc").compute(backend, timeout=DEADLINE) == 3
        large = put(b"x" * 1_000_000, backend=backend)
        assert compute_this(len)(large).compute(backend, timeout=DEADLINE) == 1_000_000
        del large
        doors = [tmp_path / name for name in ("first", "second")]
        held = [wait_for(str(door)).submit(backend) for door in doors]
        wait_until(
            lambda: all(Path(f"{door}.begun").exists() for door in doors), "two running calls"
        )
        waiting = wait_for(str(tmp_path / "third")).submit(backend)
        wait_until(lambda: waiting.batch is not None and waiting.batch.message is not None)  # type: ignore[attr-defined]
        assert waiting.cancel()
        assert len(active(url)) == 2
        # A call of a killed worker goes to the other one.
        main_process = psutil.Process(workers["one"].process.pid)
        for process in (main_process, *main_process.children()):
            process.kill()
        for door in doors:
            door.touch()
        assert [future.result(3 * DEADLINE) for future in held] == ["done"] * 2
        # The looks take so long that client and worker see that a dashboard watches, and report.
        for command in (
            ["ping", "--timeout", str(DEADLINE), "two"],
            ["status"],
            ["top", "--times", "6"],
        ):
            done = CliRunner().invoke(main, [*command, "--broker", url])
            assert done.exit_code == 0, done.output
    workers["two"].send(signal.SIGTERM)
    assert workers["two"].wait() == 0
    assert denied(server) == []


def test_the_documented_redis_user_may_use_queues_of_items(server: Server, url: str) -> None:
    """Each word, with small and large items, and a wait."""
    with CeleryExecutionBackend(url) as backend:
        for name in ("jobs", None):
            items: Queue[bytes] = Queue(name, 5, backend=backend)
            items.put_many([b"small", b"x" * 5_000_000])
            with pytest.raises(queue.Empty):
                Queue[bytes](backend=backend).get(timeout=0.01)
            assert [len(item) for item in items.get_many(2)] == [5, 5_000_000]
            items.task_done(2)
            items.join()
            items.maxsize = 6
            assert items.empty()
            assert items.dead_letters() == []
            assert items.requeue() == 0
            items.shutdown(immediate=True)
            items.delete()
        assert CliRunner().invoke(main, ["status", "--broker", url]).exit_code == 0
    assert denied(server) == []


@pytest.mark.slow
def test_the_documented_redis_user_recovers_a_call_that_killed_its_process(
    server: Server, url: str, workers: dict[str, Program]
) -> None:
    def die_once(path: str) -> str:
        if not os.path.exists(path):
            Path(path).touch()
            os._exit(1)
        return "lived"

    with CeleryExecutionBackend(url) as backend:
        path = str(server.folder / "died")
        assert compute_this(die_once)(path).submit(backend).result(2 * DEADLINE) == "lived"
    assert denied(server) == []


def test_the_documented_rule_works_for_another_database_with_its_number(
    server: Server, url: str
) -> None:
    """The page says so: its number stands in the channels."""
    command = [word.replace("&/0.", "&/3.") for word in documented()[1:]]
    assert connect(server.url).execute_command(*command)
    done = CliRunner().invoke(
        main, ["ping", "--timeout", "0.2", "--broker", f"{url}?virtual_host=3"]
    )
    assert done.output.startswith("Error: no worker answered within 0.2 s")
    assert denied(server) == []


@pytest.mark.parametrize(
    "command",
    [
        ["GET", "another_key"],
        ["SET", "another_key", "1"],
        ["FLUSHALL"],
        ["KEYS", "*"],
        ["SCAN", "0"],
        ["CONFIG", "GET", "requirepass"],
        ["ACL", "LIST"],
        ["CLIENT", "LIST"],
        ["SHUTDOWN"],
        ["DEBUG", "SLEEP", "0"],
        ["MODULE", "LIST"],
        ["REPLICAOF", "NO", "ONE"],
        ["PUBLISH", "another_key", "1"],
        ["EVAL", "return redis.call('GET', 'another_key')", "0"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_documented_redis_user_may_not_run_other_commands(command: list[str], url: str) -> None:
    with (
        connect(url) as connection,
        pytest.raises(redis.ResponseError, match=r"(?i)no permission|can't access|not allowed"),
    ):
        connection.execute_command(*command)
