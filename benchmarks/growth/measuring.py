"""Takes the figures of one setting, on a cluster of its own."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import psutil

from benchmarks.growth.client import Client, Load, Loaded
from benchmarks.growth.sweeps import Setting
from benchmarks.redis_costs import RedisCosts
from benchmarks.self.latency import percentile
from benchmarks.self.processes import Processes
from distribute_challenge import LocalCluster
from distribute_challenge.execution_backends.celery.broker.connection import connect

__all__ = ["Figures", "measured"]

WARM_UP = 0.5  # Seconds of the load before it is measured: sizes of messages are learnt.
MOST_OF_WARM_UP = 1_000  # Calls in flight meanwhile.


@dataclass(frozen=True)
class Figures:
    """The figures of one load.

    Attributes:
        calls: Calls that were made.
        seconds: How long that took.
        p50: Median of the seconds from a call to its result.
        p99: Their 99th percentile.
        busy: CPU seconds of ``client``, ``main``, ``child``, ``redis`` (all processes of a kind) and
            ``others`` (other programs of the machine).
        busiest: CPU seconds of the busiest process of each kind that has several.
        cores: Cores of the machine.
        processes: Number of processes of the kinds that may have several.
        commands: Commands that Redis ran, those in scripts included.
        received: Bytes that Redis read.
        sent: Bytes that Redis wrote.
    """

    calls: int
    seconds: float
    p50: float
    p99: float
    busy: dict[str, float]
    busiest: dict[str, float]
    cores: int
    processes: dict[str, int]
    commands: float
    received: float
    sent: float


def measured(setting: Setting, seconds: float, *, by_one: bool) -> dict[str, Any]:
    """Load a new cluster, and return its `Figures` as plain values.

    Args:
        setting: What is on the cluster.
        seconds: How long each load lasts, at least.
        by_one: Measure calls one by one, too.

    Returns:
        ``loaded``, the figures with the calls in flight that the setting says; and if ``by_one`` is
        set ``alone``, those of each client's calls one by one.
    """
    with LocalCluster(setting.workers) as cluster, ExitStack() as stack:
        processes = Processes.of_cluster(setting.workers)
        clients = [stack.enter_context(Client(cluster.broker_url)) for _ in range(setting.clients)]
        for client in clients:
            client.wait_until_ready()
        meter = _Meter(processes, connect(cluster.broker_url))
        found = {}
        if by_one:
            _run(clients, Load(1, WARM_UP, setting.size))
            found["alone"] = meter.figures(clients, Load(1, seconds, setting.size))
        _run(clients, Load(min(setting.in_flight, MOST_OF_WARM_UP), WARM_UP, setting.size))
        found["loaded"] = meter.figures(clients, Load(setting.in_flight, seconds, setting.size))
    return {name: asdict(figures) for name, figures in found.items()}


def _run(clients: Sequence[Client], load: Load) -> list[Loaded]:
    for client in clients:
        client.begin(load)
    return [client.end() for client in clients]


class _Meter:
    """Counts what processes and Redis do during a load.

    Args:
        processes: Processes of the cluster.
        server: Client of its Redis server.
    """

    def __init__(self, processes: Processes, server: Any) -> None:
        self._processes = processes
        self._server = server

    def figures(self, clients: Sequence[Client], load: Load) -> Figures:
        """Load the cluster, and return the figures."""
        redis, cpu, children = self._redis(), self._processes.cpu_seconds(), self._children()
        machine, began = _machine(), time.perf_counter()
        parts = _run(clients, load)
        seconds = time.perf_counter() - began
        machine = _machine() - machine
        redis = self._redis().since(redis)
        busy = {
            kind: now - cpu[kind]
            for kind, now in self._processes.cpu_seconds().items()
            if kind != "client"  # This process, which only waits.
        }
        busy["client"] = sum(part.cpu for part in parts)
        busy["others"] = max(0.0, machine - sum(busy.values()))
        latencies = [each for part in parts for each in part.latencies]
        return Figures(
            calls=sum(part.calls for part in parts),
            seconds=seconds,
            p50=median(latencies),
            p99=percentile(latencies, 99),
            busy=busy,
            busiest={
                "client": max(part.cpu for part in parts),
                "child": max(
                    now - then for then, now in zip(children, self._children(), strict=True)
                ),
            },
            cores=psutil.cpu_count() or 1,
            processes={"client": len(clients), "child": len(children)},
            commands=sum(command.calls for command in redis.commands.values()),
            received=redis.received,
            sent=redis.sent,
        )

    def _redis(self) -> RedisCosts:
        return RedisCosts.now(self._server)

    def _children(self) -> list[float]:
        return [_cpu_seconds(child) for child in self._processes.children]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _machine() -> float:
    """Return the CPU seconds that all programs of the machine have used."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))
