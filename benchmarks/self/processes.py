"""The processes of an embedded cluster, and the CPU time and memory that they use."""

from dataclasses import dataclass
from typing import Self

import psutil

from benchmarks.self.functions import process

__all__ = ["Processes"]

MEGABYTE = 2**20
# How often all worker processes are asked for their ids: the last of 64 starts after some seconds.
AT_MOST = 100


@dataclass(frozen=True)
class Processes:
    """The client, the Redis server, the worker's main process and its child processes.

    A dict of CPU seconds has the keys ``client``, ``main``, ``child`` (all child processes
    together) and ``redis``.
    """

    client: psutil.Process
    redis: psutil.Process
    main: psutil.Process
    children: tuple[psutil.Process, ...]

    @classmethod
    def of_cluster(cls, workers: int) -> Self:
        """Return the processes that serve this process's calls.

        Makes calls until each worker process has run one.

        Args:
            workers: How many worker processes the cluster has.

        Raises:
            RuntimeError: A worker process never gets a call.
        """
        found: set[int] = set()
        for _ in range(AT_MOST):
            futures = [process().submit() for _ in range(2 * workers)]
            found |= {future.result() for future in futures}
            if len(found) >= workers:
                break
        else:
            raise RuntimeError(f"only {len(found)} of {workers} worker processes ran a call")
        children = tuple(psutil.Process(pid) for pid in sorted(found))
        main = children[0].parent()
        assert main is not None
        beside = (supervisor := main.parent()) and supervisor.children()
        redis = next(each for each in beside or [] if each.pid != main.pid)
        return cls(psutil.Process(), redis, main, children)

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds of each kind of process since its start."""
        return {
            "client": _cpu_seconds(self.client),
            "main": _cpu_seconds(self.main),
            "child": sum(map(_cpu_seconds, self.children)),
            "redis": _cpu_seconds(self.redis),
        }

    def cpu_microseconds_per_call(self, before: dict[str, float], calls: int) -> dict[str, float]:
        """Return the CPU time for each call by kind of process, in microseconds.

        Args:
            before: What `cpu_seconds` returned before the calls.
            calls: Number of calls since then.
        """
        return {
            kind: (now - before[kind]) * 1e6 / calls for kind, now in self.cpu_seconds().items()
        }

    def client_megabytes(self) -> float:
        """Return the resident memory of the client, in units of 2**20 bytes."""
        return _megabytes(self.client)

    def child_megabytes(self) -> list[float]:
        """Return the resident memory of each child process, in units of 2**20 bytes."""
        return [_megabytes(child) for child in self.children]


def _cpu_seconds(of: psutil.Process) -> float:
    times = of.cpu_times()
    return float(times.user + times.system)


def _megabytes(of: psutil.Process) -> float:
    return float(of.memory_info().rss / MEGABYTE)
