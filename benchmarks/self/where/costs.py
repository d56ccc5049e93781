"""What calls cost each process of an embedded cluster, and what they have Redis do."""

from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.redis_costs import RedisCosts
from benchmarks.self.processes import Processes
from distribute_challenge.execution_backends.celery.broker.connection import connect

__all__ = ["Costs"]

MICRO = 1e6


class Costs:
    """What has been counted until now, to compare with later.

    Args:
        processes: Processes of the cluster.
        server: Client of its Redis server.
    """

    def __init__(self, processes: Processes, server: Any) -> None:
        self._processes = processes
        self._server = server
        self._redis = RedisCosts.now(server)
        self._counted = _counted(processes)

    @classmethod
    def of_cluster(cls, url: str, workers: int) -> Self:
        """Begin to count.

        Args:
            url: Address of the cluster, which this process is a client of.
            workers: Number of its worker processes.
        """
        return cls(Processes.of_cluster(workers), connect(url))

    def for_each(self, calls: int) -> dict[str, float]:
        """Return what has been counted since this object was made, divided by a number of calls.

        The names are those of `catalogue.figure_of`, without the measurement.
        """
        redis = RedisCosts.now(self._server).since(self._redis)
        counted = _counted(self._processes)
        found = {
            f"process.{name}": (value - self._counted[name]) / calls
            for name, value in counted.items()
        }
        for name, command in redis.commands.items():
            found[f"command.{name}.calls"] = command.calls / calls
            found[f"command.{name}.time"] = command.microseconds / calls
        found["redis.received"] = redis.received / calls
        found["redis.sent"] = redis.sent / calls
        return found


def _counted(processes: Processes) -> dict[str, float]:
    kinds = {
        "client": [processes.client],
        "main": [processes.main],
        "child": list(processes.children),
        "redis": [processes.redis],
    }
    found = {f"{kind}.cpu": MICRO * seconds for kind, seconds in processes.cpu_seconds().items()}
    for kind, members in kinds.items():
        found[f"{kind}.waits"] = sum(map(_waits, members))
        # Of other systems than Linux, psutil has no such numbers.
        if hasattr(psutil.Process, "io_counters"):
            io = [member.io_counters() for member in members]
            found[f"{kind}.read"] = sum(each.read_chars for each in io)
            found[f"{kind}.written"] = sum(each.write_chars for each in io)
    return found


def _waits(process: psutil.Process) -> float:
    """Return how often the threads of a process gave up a core to wait."""
    threads = Path(f"/proc/{process.pid}/task")
    if not threads.exists():
        return float(process.num_ctx_switches().voluntary)
    texts = [(thread / "status").read_text() for thread in threads.iterdir()]
    return sum(float(text.rpartition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in texts)
