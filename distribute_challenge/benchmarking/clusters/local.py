"""The embedded cluster, for machines without Docker: all its parts run on this machine."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distribute_challenge.benchmarking.clusters.base import Cluster
from distribute_challenge.benchmarking.clusters.cpu_meter import CpuMeter
from distribute_challenge.benchmarking.extra import benchmarking_extra
from distribute_challenge.benchmarking.recording import Usage
from distribute_challenge.cluster.embedded import WORKER_MODULE
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.local_cluster import LocalCluster

if TYPE_CHECKING:
    from psutil import Process

__all__ = ["LocalWorkers"]


class LocalWorkers(Cluster):
    """An embedded cluster of this process, which begins with one worker process.

    Its worker processes are the child processes of one main process, which takes the calls from
    Redis for all of them: `usage` shows it as ``"main process"``. Worker processes are numbered as
    Compose numbers containers: a new one gets the lowest number that is free.

    Raises:
        BackendError: psutil is not installed.
    """

    kind = "local"

    def __init__(self) -> None:
        with benchmarking_extra():
            import psutil  # noqa: F401 # wanted later, and better missed now
        self._cluster = LocalCluster(workers=1)
        self._meter = CpuMeter()
        self._names: dict[int, str] = {}
        self._there: set[int] = set()

    @property
    def broker_url(self) -> str:
        return self._cluster.broker_url

    def start(self) -> None:
        self._cluster.start()

    def scale(self, workers: int) -> None:
        self._cluster.scale(workers)

    def check(self) -> None:
        self._cluster.check()

    def usage(self) -> Mapping[str, Usage]:
        from psutil import Error

        found = {}
        for name, process in self._processes().items():
            try:
                with process.oneshot():
                    spent, born, memory = (
                        process.cpu_times(),
                        process.create_time(),
                        process.memory_info().rss,
                    )
            except Error:
                continue  # It has ended since.
            total = spent.user + spent.system
            cores = self._meter.cores((process.pid, born), time=time.time(), total=total, born=born)
            found[name] = Usage(cpu=cores, memory=memory)
        return found

    def label(self, worker: str) -> str:
        pid = int(worker.rpartition("/")[2])
        if pid not in self._names:
            with suppress(ClusterStartError):  # A cluster that is gone has no new names.
                self._processes()
        return self._names.get(pid, worker)

    def versions(self) -> Mapping[str, str]:
        return {"redis": connect(self.broker_url).info("server")["redis_version"]}

    def stop(self) -> None:
        self._cluster.close()

    def _processes(self) -> "dict[str, Process]":
        """Return the cluster's processes but its supervisor, by name; workers in their order."""
        from psutil import NoSuchProcess, Process

        # The command line of each of them has the folder's name.
        folder = Path(urlsplit(self.broker_url).path).parent.name
        found = {}
        try:
            (supervisor,) = (each for each in Process().children() if folder in _command_line(each))
            for process in supervisor.children():
                command = _command_line(process)
                if WORKER_MODULE in command:
                    found["main process"] = process
                    found |= self._numbered(process.children())
                elif folder in command:
                    found["redis"] = process
        except (NoSuchProcess, ValueError):
            pass  # `check` reports what has died.
        return found

    def _numbered(self, processes: "list[Process]") -> "dict[str, Process]":
        self._there &= {process.pid for process in processes}
        for process in sorted(processes, key=lambda each: each.pid):
            if process.pid not in self._there:
                taken = {self._names[pid] for pid in self._there}
                number = next(n for n in range(1, len(taken) + 2) if f"worker-{n}" not in taken)
                self._names[process.pid] = f"worker-{number}"
                self._there.add(process.pid)
        return {self._names[process.pid]: process for process in processes}


def _command_line(process: "Process") -> str:
    from psutil import Error

    try:
        return " ".join(process.cmdline())
    except Error:
        return ""  # It has ended since.
