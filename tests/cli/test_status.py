"""What ``status`` shows of a cluster."""

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from distribute_challenge import Queue, compute_this
from distribute_challenge.cli import main
from distribute_challenge.cli import status as cli_status
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import (
    CLIENTS,
    QUEUES,
    WORKERS,
    queue_key,
)
from distribute_challenge.execution_backends.celery.broker.mailbox import bindings_key
from distribute_challenge.execution_backends.item_queue import queue_id
from tests.cli.conftest import host
from tests.processes import PATIENCE, Program, wait_until

pytestmark = pytest.mark.celery


def wait_for(path: str) -> str:
    """Run until a file exists."""
    import time

    Path(f"{path}.begun").touch()
    while not os.path.exists(path):
        time.sleep(0.005)
    return "done"


def status(url: str) -> dict[str, list[list[str]]]:
    """The tables: title to rows of cells, without the heads."""
    done = CliRunner().invoke(main, ["status", "--broker", url])
    assert done.exit_code == 0, done.output
    tables = {}
    for block in done.output.strip().split("\n\n")[1:]:
        title, *lines = block.splitlines()
        tables[title] = [line.split() for line in lines[1:]]
    return tables


def test_an_empty_cluster_has_no_workers_calls_item_queues_or_clients(server: str) -> None:
    assert status(f"{server}/3") == {
        "workers: none": [],
        "running: none": [],
        "queues": [["distribute_challenge", "0"]],
        "item queues: none": [],
        "clients: none": [],
    }


def test_a_cluster_shows_its_workers_with_their_versions(
    broker: str, first: Program, second: Program
) -> None:
    versions = [platform.python_version(), version("distribute_challenge")]
    tables = status(broker)
    assert tables["workers"] == [
        [host("first"), "1", "distribute_challenge", *versions, str(first.process.pid), "0"],
        [
            host("second"),
            "1",
            "distribute_challenge,urgent",
            *versions,
            str(second.process.pid),
            "0",
        ],
    ]
    assert [row[0] for row in tables["queues"]] == ["distribute_challenge", "urgent"]
    assert tables["running: none"] == []


@pytest.mark.usefixtures("first")
def test_the_json_option_prints_the_status_as_json(broker: str, second: Program) -> None:
    done = CliRunner().invoke(main, ["status", "--broker", broker, "--json"])
    found = json.loads(done.output)
    assert "***" in found["broker"]
    assert found["workers"][1] == {
        "name": host("second"),
        "processes": 1,
        "queues": ["distribute_challenge", "urgent"],
        "python": platform.python_version(),
        "library": version("distribute_challenge"),
        "pid": second.process.pid,
        "refused": 0,
    }
    assert found["workers_with_another_secret"] == 0
    assert found["queues"] == [
        {"name": "distribute_challenge", "messages": 0},
        {"name": "urgent", "messages": 0},
    ]
    assert found["running"] == found["left_out"] == []
    # The session's own client may be there: other tests share it.
    assert [client for client in found["clients"] if client["pid"] != os.getpid()] == []


def test_named_queues_of_items_are_shown(server: str) -> None:
    """One that was deleted just now, and one whose key has another type, are left out."""
    url = f"{server}/5"
    with CeleryExecutionBackend(url) as backend, connect(url) as connection:
        jobs: Queue[int] = Queue("jobs\n", maxsize=10, backend=backend)
        jobs.put_many([1, 2, 3])
        jobs.get()
        Queue(backend=backend)
        connection.sadd(QUEUES, queue_id("deleted"), queue_id("strange"))
        connection.set(queue_key("state", queue_id("strange")), b"x")
        rows = status(url)["item queues"]
        found = json.loads(CliRunner().invoke(main, ["status", "--broker", url, "--json"]).output)
        connection.flushdb()
    assert rows == [["jobs\\n", "2", "3", "0", "10", "False"]]
    assert found["item_queues"][0]["shut_down"] is False
    assert "a queue of items: Redis has a key of another type" in found["left_out"][0]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of ``--watch``, which take no time; Ctrl+C comes in the third."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("distribute_challenge.cli.status.sleep", sleep)
    return pauses


def test_watch_repeats_the_status_until_ctrl_c(server: str, pauses: list[float]) -> None:
    command = ["status", "--broker", f"{server}/3", "--watch"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert done.stdout.count("workers: none") == 3
    assert pauses == [2.0] * 3
    pauses.clear()
    done = CliRunner().invoke(main, [*command, "0.5", "--json"])
    assert done.exit_code == 0, done.output
    times = [json.loads(line)["time"] for line in done.stdout.splitlines()]
    assert len(times) == 3
    assert times == sorted(times)
    assert pauses == [0.5] * 3


def test_watch_goes_on_when_the_broker_goes_away_and_ends_for_a_wrong_address(
    server: str, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_once(*given: object) -> object:
        monkeypatch.setattr("distribute_challenge.cli.status._status", read)
        if pauses:
            raise BrokerUnreachableError("it is away")
        monkeypatch.setattr("distribute_challenge.cli.status._status", fail_once)
        return read(*given)

    read = cli_status._status
    monkeypatch.setattr("distribute_challenge.cli.status._status", fail_once)
    done = CliRunner().invoke(main, ["status", "--broker", f"{server}/3", "--watch"])
    assert done.exit_code == 0, done.output
    assert done.stdout.count("workers: none") == 2
    assert re.fullmatch(r"Error: no Redis answers .*it is away.*\n", done.stderr)
    done = CliRunner().invoke(
        main, ["status", "--broker", "redis+socket:///nowhere/redis.sock", "--watch"]
    )
    assert done.exit_code == 1


def test_keys_of_another_type_are_left_out_with_a_line_for_each(server: str) -> None:
    """All else is shown."""
    url = f"{server}/4"
    with connect(url) as connection:
        for key in (WORKERS, CLIENTS, "distribute_challenge\x06\x163"):
            connection.set(key, b"x")
        done = CliRunner().invoke(main, ["status", "--broker", url])
        found = json.loads(CliRunner().invoke(main, ["status", "--broker", url, "--json"]).output)
        connection.flushdb()
    assert done.exit_code == 0, done.output
    assert "workers: none" in done.stdout
    expected = [
        f"workers: Redis has a key of another type in the place of {WORKERS}; delete it",
        f"clients: Redis has a key of another type in the place of {CLIENTS}; delete it",
        (
            "messages of a queue: Redis has a key of another type in the place of "
            "distribute_challenge; delete it"
        ),
    ]
    assert done.stderr.splitlines() == [f"left out: {line}" for line in expected]
    assert found["left_out"] == expected
    assert found["workers"] == found["clients"] == found["queues"] == found["item_queues"] == []


@pytest.mark.usefixtures("first")
def test_status_leaves_out_running_calls_if_workers_cannot_be_asked(broker: str) -> None:
    with connect(broker) as connection:
        connection.delete(bindings_key())
        connection.set(bindings_key(), b"x")
        done = CliRunner().invoke(main, ["status", "--broker", broker])
        connection.delete(bindings_key())
    assert done.exit_code == 0, done.output
    assert host("first") in done.stdout
    assert (
        f"left out: what runs: Redis has a key of another type in the place of {bindings_key()}"
        in done.stderr
    )


def test_a_redis_user_without_the_needed_rights_gets_one_clear_error(server: str) -> None:
    with connect(server) as connection:
        connection.acl_setuser(
            "half", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-hgetall"]
        )
        done = CliRunner().invoke(main, ["status", "--broker", server.replace("//:", "//half:")])
        connection.acl_deluser("half")
    assert done.exit_code == 1
    assert "give the user in the URL the rights" in done.output


@pytest.mark.slow
@pytest.mark.usefixtures("second")
def test_a_busy_cluster_shows_what_runs_what_waits_and_for_whom(
    broker: str, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    urgent = compute_this(wait_for, queue="urgent")
    door = str(tmp_path / "door")
    futures = [urgent(door).submit(backend)]
    wait_until(Path(f"{door}.begun").exists)
    futures += [urgent(door).submit(backend) for _ in range(2)]
    try:
        wait_until(lambda: status(broker)["queues"][-1] != ["urgent", "0"], "a waiting message")
        # A client says once a second how much it waits for.
        wait_until(
            lambda: (
                [row[-1] for row in status(broker).get("clients", []) if row[1] == str(os.getpid())]
                == ["3"]
            )
        )
        tables = status(broker)
        ((worker, name, pid),) = tables["running"]
        assert (worker, name) == (host("second"), "wait_for")
        assert int(pid) != os.getpid()
        (client,) = (row for row in tables["clients"] if row[1] == str(os.getpid()))
        assert client[2:] == [platform.python_version(), version("distribute_challenge"), "3"]
    finally:
        Path(door).touch()
    assert [future.result(PATIENCE) for future in futures] == ["done"] * 3
