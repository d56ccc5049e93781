"""Large values with real workers and clients, which share memory or not, and may be killed."""

import gc
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from distribute_challenge import LocalCluster, compute_this, put
from distribute_challenge.errors import ValueLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.presence import workers
from tests.calls import double, who
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import run, script, wait_until
from tests.stores.shared_memory.files import values_below
from tests.workers import leased_workers

pytestmark = [pytest.mark.celery, pytest.mark.slow]
# What is killed saves nothing, and the others do what those of other tests have done.
unmeasured = pytest.mark.usefixtures("unmeasured")

ARRAY = numpy.arange(1_000_000, dtype=float)  # 8 MB


def shared(memory: Path) -> dict[str, str]:
    """What a script's environment needs to use that memory, too."""
    return {"DISTRIBUTE_CHALLENGE_SHARED_FOLDER": str(memory)}


def kept(memory: Path) -> list[str]:
    return [path.name for path in values_below(memory)]


def kept_in(server: Server) -> list[str]:
    """The values in Redis, each once, in however many parts."""
    names: Any = connect(server.url).keys("distribute_challenge:value:*")
    return sorted({":".join(name.decode().split(":")[:4]) for name in names})


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Start a worker with one process, by name, with its own shared memory or the common one."""
    with leased_workers(server.url, tmp_path) as start_leased:

        def start(
            name: str, *, stranger: bool = False, lease: int = 30
        ) -> "subprocess.Popen[bytes]":
            own = tmp_path / f"memory of {name}"
            if stranger:
                own.mkdir()
            process = start_leased(name, lease=lease, **(shared(own) if stranger else {}))
            wait_until(
                lambda: any(name in worker.name for worker in workers(connect(server.url))),
                f"worker {name}",
            )
            return process

        yield start


@pytest.mark.parametrize("attempt", range(int(os.environ.get("ATTEMPTS", "1"))))
def test_a_worker_that_shares_no_memory_gets_and_gives_large_values(
    attempt: int, server: Server, start: Start, memory: Path
) -> None:
    """Through Redis.

    When a call is done nothing of it stays there, even if the user keeps its future or its error.
    """
    start("stranger", stranger=True)
    array = ARRAY.copy()

    @compute_this
    def fail(x: Any) -> None:
        raise ValueError(len(x))

    captured = compute_this(lambda row: float(array[row]))
    with CeleryExecutionBackend(server.url) as backend:
        futures = [
            call.submit(backend)
            for call in (double(array), fail(array), captured(7), double("x" * 2_000_000))
        ]
        result = futures[0].result(DEADLINE)
        result += 1
        assert numpy.array_equal(result, ARRAY * 2 + 1)
        assert isinstance(futures[1].exception(DEADLINE), ValueError)
        assert futures[2].result(DEADLINE) == 7
        assert len(futures[3].result(DEADLINE)) == 4_000_000
        assert [
            item[0] for item in double.map([array + number for number in range(4)], backend=backend)
        ] == [
            0,
            2,
            4,
            6,
        ]
        assert list(captured.map(range(100), backend=backend)) == list(range(100))
        shared = put(array + 1, backend)
        assert double(shared).compute(backend)[0] == 2
        assert len(kept_in(server)) >= 2
        del captured, shared
        gc.collect()
        wait_until(lambda: not kept_in(server), "an empty Redis")
        assert kept(memory) == []


@unmeasured
def test_workers_of_both_kinds_get_large_values(server: Server, start: Start) -> None:
    """Whichever takes the call."""
    start("stranger", stranger=True)
    start("neighbour")
    with CeleryExecutionBackend(server.url) as backend:
        results = list(who.map([ARRAY] * 20, [0.05] * 20, batch_size=1, backend=backend))
        assert {total for _, total in results} == {ARRAY.sum()}
        assert len({pid for pid, _ in results}) == 2
        wait_until(lambda: not kept_in(server), "an empty Redis")


def test_a_worker_without_shared_memory_that_joins_later_gets_an_earlier_value(
    server: Server, start: Start, memory: Path
) -> None:
    """The value lay in shared memory alone when the client put it."""
    neighbour = start("neighbour")
    with CeleryExecutionBackend(server.url) as backend:
        shared = put(ARRAY, backend)
        assert who(shared).compute(backend) == (neighbour.pid, ARRAY.sum())
        assert kept_in(server) == []
        neighbour.terminate()
        neighbour.wait(DEADLINE)
        stranger = start("stranger", stranger=True)
        assert who(shared).compute(backend) == (stranger.pid, ARRAY.sum())


def test_a_call_whose_process_was_killed_gets_its_large_value_again(
    memory: Path, tmp_path: Path
) -> None:
    """Afterwards nothing of the value is left."""
    died = tmp_path / "died"

    @compute_this
    def die_once(x: Any) -> float:
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return float(x.sum())

    with LocalCluster(1) as cluster:
        assert die_once(ARRAY).compute(cluster.backend) == ARRAY.sum()
        assert died.exists()
        wait_until(lambda: not kept(memory), "empty shared memory")
    assert list(memory.iterdir()) == []


@unmeasured
def test_a_call_whose_worker_is_killed_finds_its_value_again(
    server: Server, start: Start, memory: Path, tmp_path: Path
) -> None:
    """Another worker finds it, when the lease is over."""
    first = start("first", lease=3)
    first_pid, begun = first.pid, tmp_path / "begun"

    @compute_this
    def hang_on_the_first(x: Any) -> float:
        while os.getppid() == first_pid:
            begun.touch()
            time.sleep(0.01)
        return float(x.sum())

    with CeleryExecutionBackend(server.url) as backend:
        future = hang_on_the_first(ARRAY).submit(backend)
        wait_until(begun.exists, "the call")
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(DEADLINE)
        assert len(kept(memory)) == 1
        start("second", lease=3)
        assert future.result(DEADLINE) == ARRAY.sum()
        wait_until(lambda: not kept(memory), "empty shared memory")


CLIENT = """
import os, sys, time
import numpy
from distribute_challenge import compute_this, put

@compute_this()
def same(x):
    return x

@compute_this()
def nap(x, door):
    while not os.path.exists(door):
        time.sleep(0.01)

shared = put(numpy.ones(1_000_000))
result = same(shared).compute()
running = nap(numpy.zeros(1_000_000), sys.argv[1]).submit()
while running.batch is None or running.batch.message is None:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(60)
"""


@unmeasured
def test_a_killed_client_of_an_embedded_cluster_leaves_nothing(
    memory: Path, tmp_path: Path
) -> None:
    """The supervisor tidies up after it."""
    with script(CLIENT, tmp_path / "client", str(tmp_path / "door"), **shared(memory)) as client:
        client.wait_for("ready")
        assert len(kept(memory)) == 2
        client.send(signal.SIGKILL)
        client.wait()
        wait_until(lambda: not list(memory.iterdir()), "empty shared memory")


@pytest.mark.parametrize("stranger", [False, True])
def test_a_killed_client_of_a_cluster_leaves_nothing(
    stranger: bool,
    server: Server,
    start: Start,
    memory: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """A worker on its machine tidies up after it, and Redis drops what no client renews."""
    if stranger:
        request.getfixturevalue("unmeasured")
    start("worker", stranger=stranger)
    door = tmp_path / "door"
    with script(
        CLIENT, tmp_path / "client", str(door), CELERY_BROKER_URL=server.url, **shared(memory)
    ) as client:
        client.wait_for("ready")
        assert len(kept(memory)) + len(kept_in(server)) == 2
        client.send(signal.SIGKILL)
        client.wait()
        door.touch()
        if stranger:
            start("neighbour")
        wait_until(lambda: not list(memory.iterdir()), "empty shared memory")
        connection: Any = connect(server.url)
        left = connection.keys("distribute_challenge:value:*")
        assert all(connection.ttl(name) != -1 for name in left), "they expire"


FORKED = """
import os
import numpy
from distribute_challenge import compute_this, put

@compute_this()
def total(*arrays):
    return float(sum(array.sum() for array in arrays))

array = numpy.ones(1_000_000)
shared = put(array + 1)
captured = compute_this(lambda: float(array[0]))
assert total(array, shared).compute() == 3_000_000
assert captured().compute() == 1
if os.fork() == 0:
    print("child", total(array, shared).compute(), captured().compute(), flush=True)
    from distribute_challenge.execution_backends.registry import close_backends
    close_backends()
    del shared, captured
    os._exit(0)
assert os.wait()[1] == 0
print("parent", total(array, shared).compute(), captured().compute(), flush=True)
"""


def test_a_fork_of_the_client_has_values_of_its_own(memory: Path, tmp_path: Path) -> None:
    """It uses its parent's, and takes nothing away from it."""
    output = run(FORKED, tmp_path / "client", **shared(memory))
    assert output.split() == ["child", "3000000.0", "1.0", "parent", "3000000.0", "1.0"]
    assert list(memory.iterdir()) == []


def test_two_clients_of_a_cluster_keep_their_large_values_apart(
    server: Server, start: Start, memory: Path
) -> None:
    """The same content lies there twice. A client sends a value that another put anew."""
    start("worker")
    with CeleryExecutionBackend(server.url) as one:
        with CeleryExecutionBackend(server.url) as two:
            shared = put(ARRAY, two)
            first, second = (who(ARRAY).submit(backend) for backend in (one, two))
            assert first.result(DEADLINE) == second.result(DEADLINE)
            assert who(shared).compute(one)[1] == ARRAY.sum()
        assert who(ARRAY).compute(one)[1] == ARRAY.sum()
        with pytest.raises(ValueLostError):
            who(shared).compute(one)
    assert list(memory.iterdir()) == []
