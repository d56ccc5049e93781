"""Real workers outlast restarts of Redis, cuts of the network, freezes and orders to end."""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Future, compute_this
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED
from distribute_challenge.execution_backends.celery.broker.presence import workers
from distribute_challenge.execution_backends.celery.broker.publishing import queue_length
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.calls import trace
from tests.execution_backends.celery.conftest import Server
from tests.processes import program, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]

DEADLINE = 60  # Seconds; several workers on a busy machine.

WORKER = """
import sys
from distribute_challenge.execution_backends.celery.worker.main import make_worker

worker = make_worker(sys.argv[1], concurrency=int(sys.argv[2]), name=sys.argv[3])
worker.consumer.prefetch_multiplier = int(sys.argv[4])
worker.consumer.initial_prefetch_count = int(sys.argv[4]) * int(sys.argv[2])
worker.start()
sys.exit(worker.exitcode)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """The command line of a worker for `program`."""

    def command(url: str, *, processes: int = 1, name: str = "one", prefetch: int = 1) -> Any:
        folder = tmp_path / name
        folder.mkdir()
        return program(
            [sys.executable, "-c", WORKER, url, str(processes), name, str(prefetch)], folder
        )

    return command


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder in which calls leave a trace of each run."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


traced = compute_this(trace)


def run_counts(runs: Path) -> Counter[int]:
    return Counter(int(path.name.split()[0]) for path in runs.iterdir())


def wait_for_books(server: Server, number: int) -> None:
    wait_until(
        lambda: connect(server.url).hlen(UNACKED) == number, f"{number} messages in the books"
    )


def apart(
    function: Any, arguments: tuple[Any, ...], backend: CeleryExecutionBackend
) -> list[Future[int]]:
    """Three calls in messages of their own: they differ in priority."""
    return [
        function.with_options(priority=number)(number, *arguments).submit(backend)
        for number in range(3)
    ]


def results(futures: list[Future[int]]) -> list[int]:
    return [future.result(DEADLINE) for future in futures]


def test_running_calls_survive_a_restart_of_redis_and_run_once(
    server: Server, start: Any, runs: Path, tmp_path: Path, eventually: Any
) -> None:
    """Each runs once; the worker is the same."""
    gate = tmp_path / "gate"
    with start(server.url, processes=2) as worker, CeleryExecutionBackend(server.url) as backend:
        worker.wait_for("ready")
        running = [traced(number, runs, gate).submit(backend) for number in range(2)]
        eventually(lambda: len(run_counts(runs)) == 2)
        server.stop()
        worker.wait_for("Cannot connect")
        server.start()
        wait_until(lambda: len(workers(connect(server.url))) == 1)
        wait_for_books(server, 2)
        gate.touch()
        assert traced(2, runs).compute(backend, timeout=DEADLINE) == 2
        assert results(running) == [0, 1]
        assert set(run_counts(runs).values()) == {1}
        wait_for_books(server, 0)
        assert worker.process.poll() is None


def test_messages_waiting_in_a_worker_run_once_after_the_connection_breaks(
    server: Server, start: Any, runs: Path, tmp_path: Path
) -> None:
    """Celery would drop it; half a message that is in a pipe is completed."""
    gate = tmp_path / "gate"

    def fat(number: int, padding: list[int]) -> int:
        return trace(number, runs, gate)

    with start(server.url, prefetch=3) as worker, CeleryExecutionBackend(server.url) as backend:
        worker.wait_for("ready")
        # In the message itself: what is one large buffer would travel otherwise.
        futures = apart(compute_this(fat), (list(range(150_000)),), backend)
        wait_for_books(server, 3)
        server.stop()
        worker.wait_for("Cannot connect")
        server.start()
        wait_until(lambda: worker.output.count("Connected to") == 2)
        gate.touch()
        assert results(futures) == [0, 1, 2]
        assert set(run_counts(runs).values()) == {1}
        wait_for_books(server, 0)


def test_a_worker_that_is_told_to_end_gives_back_what_it_has_not_begun(
    server: Server, start: Any, runs: Path, tmp_path: Path
) -> None:
    """Another worker gets it at once. Running calls finish, and none runs twice."""
    gate = tmp_path / "gate"
    with CeleryExecutionBackend(server.url) as backend:
        with start(server.url, prefetch=3) as leaving:
            leaving.wait_for("ready")
            futures = apart(traced, (runs, gate), backend)
            wait_for_books(server, 3)
            wait_until(lambda: run_counts(runs), "the first call")
            leaving.send(signal.SIGTERM)
            wait_until(
                lambda: queue_length(connect(server.url), DEFAULT_QUEUE) == 2,
                "two messages in the queue",
            )
            assert len(run_counts(runs)) == 1
            with start(server.url, name="other") as other:
                other.wait_for("ready")
                # The other one looks for what is lost all the time; the one that leaves goes on
                # renewing.
                begun = time.time()
                wait_until(lambda: time.time() > begun + 9)
                assert len(run_counts(runs)) == 2
                gate.touch()
                assert results(futures) == [0, 1, 2]
                assert leaving.wait() == 0
        assert set(run_counts(runs).values()) == {1}
        wait_for_books(server, 0)


def test_a_worker_that_is_told_to_end_while_redis_is_away_ends(server: Server, start: Any) -> None:
    """It ends."""
    with start(server.url) as worker:
        worker.wait_for("ready")
        server.stop()
        worker.wait_for("Cannot connect")
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0


def test_a_loss_that_an_ending_worker_could_not_report_is_reported_by_another(
    server: Server, start: Any, runs: Path, tmp_path: Path
) -> None:
    """Another one says it, when the lease is over."""
    gate = tmp_path / "gate"

    def die_first(number: int) -> int:
        if len(list(runs.iterdir())) == 0:
            trace(number, runs, gate)
            os._exit(3)
        return number

    with CeleryExecutionBackend(server.url) as backend:
        with start(server.url) as worker:
            worker.wait_for("ready")
            future = compute_this(die_first)(5).submit(backend)
            wait_until(lambda: len(run_counts(runs)) == 1)
            connect(server.url).config_set("maxmemory", 1)
            gate.touch()
            worker.wait_for("cannot reply, trying again")
            worker.send(signal.SIGTERM)
            worker.wait_for("another worker will")
            assert worker.wait() == 0
        connect(server.url).config_set("maxmemory", 0)
        with start(server.url, name="other") as other:
            assert future.result(DEADLINE) == 5
            assert "gave no sign of life" in other.output


def test_the_late_result_of_a_frozen_worker_is_dropped(
    server: Server, start: Any, runs: Path, tmp_path: Path
) -> None:
    """Its call has run elsewhere by then; what it has to say of it does no harm."""
    gate = tmp_path / "gate"
    with (
        CeleryExecutionBackend(server.url) as backend,
        start(server.url, name="sleeper") as sleeper,
    ):
        sleeper.wait_for("ready")
        future = traced(7, runs, gate).submit(backend)
        wait_until(lambda: len(run_counts(runs)) == 1)
        (first,) = runs.iterdir()
        child = int(first.name.split()[1])
        frozen = [sleeper.process.pid, child]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            with start(server.url, name="other") as other:
                other.wait_for("ready")
                wait_until(lambda: run_counts(runs)[7] == 2)
                gate.touch()
                assert future.result(DEADLINE) == 7
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
                wait_for_books(server, 0)
                assert traced(8, runs).compute(backend, timeout=DEADLINE) == 8
                wait_until(lambda: len(workers(connect(server.url))) == 2)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)


def test_a_full_redis_ends_no_worker(server: Server, start: Any, runs: Path) -> None:
    """It does not end a worker that connects just then, either."""
    connect(server.url).config_set("maxmemory", 1)
    with start(server.url) as worker:
        worker.wait_for("OutOfMemoryError")
        connect(server.url).config_set("maxmemory", 0)
        with CeleryExecutionBackend(server.url) as backend:
            assert traced(1, runs).compute(backend, timeout=DEADLINE) == 1
            connect(server.url).config_set("maxmemory", 1)
            worker.wait_for("does not take what this worker has to say")
            connect(server.url).config_set("maxmemory", 0)
            assert traced(2, runs).compute(backend, timeout=DEADLINE) == 2


class Network:
    """Carries bytes between TCP and the server's socket. Once it is cut, it drops them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_cut = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._ending, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        while True:
            sockets = [] if self.is_cut else [self._listener, *self._pairs]
            ready, _, _ = select.select([self._ending, *sockets], [], [], 0.05)
            if self._ending in ready:
                return
            for each in ready:
                if each is self._listener:
                    near, far = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
                    far.connect(self._path)
                    self._pairs[near], self._pairs[far] = far, near
                elif each in self._pairs:
                    self._pass_on(each)

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(1 << 16)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        target = self._pairs.pop(source)
        self._pairs.pop(target)
        source.close()
        target.close()

    def close(self) -> None:
        self._end.send(b".")
        self._thread.join()
        for each in (self._listener, self._ending, self._end, *self._pairs):
            each.close()


@pytest.fixture
def network(server: Server) -> Iterator[Network]:
    network = Network(str(server.folder / "redis.sock"))
    yield network
    network.close()


def test_a_worker_detects_a_silent_network_and_reconnects(
    server: Server, network: Network, start: Any, runs: Path, tmp_path: Path
) -> None:
    """When the network is back, the worker is, with its outcomes."""
    gate = tmp_path / "gate"
    with (
        start(f"redis://127.0.0.1:{network.port}/0") as worker,
        CeleryExecutionBackend(server.url) as backend,
    ):
        worker.wait_for("ready")
        future = traced(1, runs, gate).submit(backend)
        wait_until(lambda: len(run_counts(runs)) == 1)
        network.is_cut = True
        worker.wait_for("Connection to broker lost")
        gate.touch()
        network.is_cut = False
        assert future.result(DEADLINE) == 1
        assert run_counts(runs)[1] == 1
        wait_for_books(server, 0)
