"""A cluster of real processes that can be harmed: Redis, workers, and the connections to Redis.

client ── client_line ──┐
├── redis
workers ─ worker_line ──┘
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.rig.diary import Diary
from benchmarks.rig.proxy import Proxy
from benchmarks.rig.redis_process import RedisProcess
from benchmarks.rig.worker_process import WorkerProcess
from distribute_challenge import settings
from distribute_challenge.benchmarking.clusters.variables import TemporaryVariables
from distribute_challenge.security import new_secret

__all__ = ["Rig"]


class Rig:
    """A context manager: all of it runs in the block, and none of it afterwards.

    Args:
        folder: For everything that it writes.
        workers: Workers at the start.
        processes: Processes of each.
        lease: Of their messages, in whole seconds; None: the default.
        options: More options of ``distribute-challenge worker``.

    Attributes:
        folder: For everything that it writes.
        redis: The server.
        client_line: What clients reach it by.
        worker_line: What workers reach it by.
        workers: The workers, also those that are down.
        diary: What calls that ran here have noted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        processes: int = 1,
        lease: int | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._secret = new_secret()
        self._processes, self._lease, self._options = processes, lease, options
        self._first = workers
        self.redis = RedisProcess(folder / "redis")
        self.client_line = Proxy(self.redis.port)
        self.worker_line = Proxy(self.redis.port)
        self.workers: list[WorkerProcess] = []
        self.diary = Diary(folder / "diary")

    @property
    def client_url(self) -> str:
        """The broker's address for clients."""
        return self.redis.url_at(self.client_line.port)

    @property
    def client_environment(self) -> dict[str, str]:
        """Variables for a client in a process of its own."""
        return {**self._common(), settings.BROKER_VARIABLES[0]: self.client_url}

    @contextlib.contextmanager
    def as_client(self) -> Iterator[None]:
        """Make this process a client: inside the block, the environment has the cluster's secret."""
        variables = TemporaryVariables(self._common())
        variables.set()
        try:
            yield
        finally:
            variables.restore()

    def add_worker(self, **variables: str) -> WorkerProcess:
        """One worker more, started but perhaps not ready yet.

        Args:
            variables: More of its environment.
        """
        worker = self.new_worker(f"w{len(self.workers) + 1}", **variables)
        self.workers.append(worker)
        worker.start()
        return worker

    def new_worker(self, name: str, **variables: str) -> WorkerProcess:
        """A worker that is none of `workers`, and not started.

        Args:
            name: Of the worker.
            variables: More of its environment.
        """
        return WorkerProcess(
            self.folder / "workers",
            name=name,
            environment={
                **self._common(),
                # In containers a worker refuses to run as root; there, tests often do.
                settings.ALLOW_ROOT_VARIABLE: "1",
                settings.BROKER_VARIABLES[0]: self.redis.url_at(self.worker_line.port),
                **variables,
            },
            processes=self._processes,
            lease=self._lease,
            options=self._options,
        )

    def start(self) -> None:
        """Start everything.

        Raises:
            ClusterStartError: Something does not come up; with its last lines.
        """
        self.redis.start()
        self.client_line.start()
        self.worker_line.start()
        for _ in range(self._first):
            self.add_worker()
        for worker in self.workers:
            worker.wait_until_ready()

    def close(self) -> None:
        """End everything, in whatever state it is."""
        for worker in self.workers:
            worker.close()
        self.worker_line.close()
        self.client_line.close()
        self.redis.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _common(self) -> dict[str, str]:
        return {settings.SECRET_VARIABLE: self._secret}
