"""Measures what workers and clients that have nothing to do ask of Redis, and their connections.

Each line of `SETTINGS` is a cluster, whose figures are measured for some seconds. What one worker,
child process or client more asks follows from the differences.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.growth.client import Client
from benchmarks.redis_costs import RedisCosts
from benchmarks.self.functions import process
from distribute_challenge import LocalCluster
from distribute_challenge.cluster.embedded import WORKER_MODULE
from distribute_challenge.execution_backends.celery.broker.connection import connect

__all__ = ["SETTINGS", "Standing", "StandingSetting", "each", "measured"]

ROUNDS = 200  # Of calls until each child process has had one, and is connected.
SETTLES = 3.0  # Seconds after which connections of the start are closed.


@dataclass(frozen=True)
class StandingSetting:
    """A cluster that has nothing to do.

    Attributes:
        workers: Workers: main processes.
        children: Child processes of each.
        clients: Clients; each has made a call.
    """

    workers: int
    children: int
    clients: int


@dataclass(frozen=True)
class Standing:
    """What it asks of Redis.

    Attributes:
        connections: Connections.
        commands: Commands a second, those in scripts included.
        received: Bytes a second that Redis reads.
        sent: Bytes a second that Redis writes.
    """

    connections: float
    commands: float
    received: float
    sent: float


_ONE, _CHILDREN, _WORKERS, _CLIENTS, _BOTH = SETTINGS = (
    StandingSetting(1, 1, 1),
    StandingSetting(1, 9, 1),
    StandingSetting(5, 1, 1),
    StandingSetting(1, 1, 9),
    StandingSetting(5, 1, 9),
)


def measured(setting: StandingSetting, seconds: float) -> dict[str, Any]:
    """Start a cluster, and return its `Standing` as plain values.

    This process is one of the clients.

    Args:
        setting: What is on the cluster.
        seconds: How long to count.
    """
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(setting.children))
        for number in range(1, setting.workers):
            command = [cluster.broker_url, str(setting.children), f"worker{number}"]
            other = subprocess.Popen(
                [sys.executable, "-P", "-m", WORKER_MODULE, *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(other.wait)
            stack.callback(other.kill)
        _reach_all(setting.workers * setting.children)
        for _ in range(1, setting.clients):
            stack.enter_context(Client(cluster.broker_url)).wait_until_ready()
        server = connect(cluster.broker_url)
        time.sleep(SETTLES)
        before, began = RedisCosts.now(server), time.perf_counter()
        time.sleep(seconds)
        costs, took = RedisCosts.now(server).since(before), time.perf_counter() - began
        connections = server.info("clients")["connected_clients"] - 1  # But this one.
    return asdict(
        Standing(
            connections,
            sum(command.calls for command in costs.commands.values()) / took,
            costs.received / took,
            costs.sent / took,
        )
    )


def _reach_all(children: int) -> None:
    found: set[int] = set()
    for _ in range(ROUNDS):
        futures = [process().submit() for _ in range(2 * children)]
        found |= {future.result() for future in futures}
        if len(found) >= children:
            return
    raise RuntimeError(f"only {len(found)} of {children} worker processes ran a call")


def each(found: dict[StandingSetting, Standing]) -> dict[str, Standing]:
    """Return what one more of each kind asks of Redis.

    Args:
        found: What was measured of each of `SETTINGS`.

    Returns:
        ``worker``, a main process alone; ``child``; ``client``; and ``pair``, what each client asks
        for because of each worker beside the first.
    """
    one = found[_ONE]
    child = _per(found[_CHILDREN], one, _CHILDREN.children - _ONE.children)
    with_child = _per(found[_WORKERS], one, _WORKERS.workers - _ONE.workers)
    both = _per(found[_BOTH], found[_CLIENTS], _BOTH.workers - _CLIENTS.workers)
    return {
        "worker": _per(with_child, child, 1),
        "child": child,
        "client": _per(found[_CLIENTS], one, _CLIENTS.clients - _ONE.clients),
        "pair": _per(both, with_child, _BOTH.clients - _ONE.clients),
    }


def _per(more: Standing, less: Standing, number: int) -> Standing:
    found, base = asdict(more), asdict(less)
    return Standing(**{name: (found[name] - base[name]) / number for name in found})
