"""A real Redis without workers, whose messages the tests take by hand, and a real cluster with two."""

import base64
import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
import redis

from benchmarks.rig.proxy import Proxy
from distribute_challenge import Future, LocalCluster
from distribute_challenge.cluster.redis_server import server_command, server_program
from distribute_challenge.core.messages import Batch, Problem, Reply
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED, function_key
from distribute_challenge.execution_backends.celery.broker.publishing import queue_keys
from distribute_challenge.execution_backends.celery.client import detached_calls
from distribute_challenge.execution_backends.celery.worker.values import WorkerValues
from distribute_challenge.security import Purpose
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.processes import wait_until
from tests.secret import KEYRING

DEADLINE = 60  # Seconds after which a test would rather fail than wait.

TAKE = """
for _, key in ipairs(KEYS) do
    local data = redis.call('RPOP', key)
    if data then
        redis.call('HSET', ARGV[1], cjson.decode(data).properties.delivery_tag, '')
        return data
    end
end
"""


class Server:
    """A private Redis server that can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"redis+socket://{folder}/redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, *options: str) -> None:
        command = [*server_command(server_program(), self.folder), *options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                connect(self.url).ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "the server does not start"
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class FakeWorker:
    """Takes messages off a queue and answers as the test wants it to.

    A context manager: it is part of a circle of references, so its connection would be closed at
    some later time, with a warning.
    """

    def __init__(self, url: str) -> None:
        self.connection = connect(url)
        self.functions = FunctionCache(self._payload)
        self.values = WorkerValues(self.connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def _payload(self, digest: str) -> bytes | None:
        sealed = self.connection.get(function_key(digest))
        return None if sealed is None else bytes(KEYRING.open(Purpose.function(digest), sealed))

    def take(self, queue: str = DEFAULT_QUEUE) -> "Taken":
        """The next message, waited for."""
        found = self.connection.brpop(queue_keys(queue), timeout=DEADLINE / 2)
        assert found is not None, "no message came"
        return Taken(self, json.loads(found[1]))

    def take_and_hold(self, queue: str = DEFAULT_QUEUE) -> "Taken":
        """The next message, waited for, and written down in the same step, as workers do."""
        taken: list[bytes] = []

        def came() -> bool:
            data = self.connection.eval(TAKE, len(keys), *keys, UNACKED)
            taken.extend([data] if data else [])
            return bool(taken)

        keys = queue_keys(queue)
        wait_until(came, "a message")
        return Taken(self, json.loads(taken[0]))

    def serve(
        self, futures: Iterable[Future[Any]], answer: "Callable[[Taken], None] | None" = None
    ) -> None:
        """Run whatever comes, or answer it otherwise, until all futures are done."""
        deadline = time.monotonic() + DEADLINE
        while not all(future.done() for future in futures):
            assert time.monotonic() < deadline, "not all calls were answered in time"
            found = self.connection.brpop(queue_keys(DEFAULT_QUEUE), timeout=0.02)
            if found is not None:
                (answer or Taken.run)(Taken(self, json.loads(found[1])))

    def waiting(self, queue: str = DEFAULT_QUEUE) -> int:
        """Messages in the queue."""
        return sum(self.connection.llen(key) for key in queue_keys(queue))


class Taken:
    """A message that a worker took."""

    def __init__(self, worker: FakeWorker, envelope: dict[str, Any]) -> None:
        self.worker = worker
        self.envelope = envelope
        self.sealed = base64.b64decode(envelope["body"])
        self.frame = bytes(KEYRING.open(Purpose.BATCH, self.sealed))
        self.batch = Batch.decode(self.frame)

    def run(self) -> None:
        for reply in self.replies():
            self.push(reply)

    def replies(self) -> Iterator[bytes]:
        # All of its calls, however busy the machine is: workers give back what they do not begin soon.
        batch = replace(self.batch, patience=600.0)
        return execute(batch, self.worker.functions, "fake@test/1", self.worker.values)

    def vanish(self) -> None:
        """Be held no longer, as if its worker had been killed."""
        self.worker.connection.hdel(UNACKED, self.envelope["properties"]["delivery_tag"])

    def push(self, frame: bytes) -> None:
        reply_to = self.batch.reply_to
        self.worker.connection.rpush(reply_to, KEYRING.seal(Purpose.reply(reply_to), [frame]))

    def report(self, kind: str, text: str = "a reason", **facts: Any) -> None:
        self.push(
            Reply(
                self.batch.id, "fake@test/1", time.time(), problem=Problem(kind, text, facts)
            ).encode()
        )


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("r")) as server:
        yield server


@pytest.fixture
def connection(server: Server) -> Iterator[Broker]:
    with connect(server.url) as connection:
        yield connection


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.folder / "redis.sock") as proxy:
        yield proxy


@pytest.fixture
def distant(proxy: Proxy) -> Iterator[CeleryExecutionBackend]:
    """A client whose way to the server leads through the proxy."""
    with CeleryExecutionBackend(f"redis://127.0.0.1:{proxy.port}/0") as backend:
        backend.concurrency  # noqa: B018 - connects
        yield backend


@pytest.fixture
def worker(server: Server) -> Iterator[FakeWorker]:
    with FakeWorker(server.url) as worker:
        yield worker


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    """A client of the server without workers."""
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


@contextlib.contextmanager
def running_cluster(workers: int) -> Iterator[LocalCluster]:
    """A cluster that is not the backend of other tests, as one in its own `with` block would be."""
    cluster = LocalCluster(workers=workers).start()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with running_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def in_log(
    cluster: LocalCluster, eventually: Callable[[Callable[[], bool]], None]
) -> Callable[[str], str]:
    """The cluster's log, once it holds a text."""

    def wait_for(text: str) -> str:
        eventually(lambda: text in cluster.log())
        return cluster.log()

    return wait_for


@pytest.fixture
def shared(cluster: LocalCluster) -> Iterator[CeleryExecutionBackend]:
    """A client of a cluster that does not end with it, as detached calls need."""
    with CeleryExecutionBackend(cluster.broker_url) as backend:
        yield backend


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that look for lost messages as often as they can."""
    monkeypatch.setattr(detached_calls, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(detached_calls, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(detached_calls, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(detached, "APART", 0.04)
