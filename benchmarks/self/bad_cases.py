"""Measures the bad cases of batching against perfect scheduling.

docs/batching.md explains the cases. Long calls sleep, so that the number of workers is the limit
and not the number of cores.
"""

import random
import time
from concurrent.futures import as_completed
from contextlib import ExitStack
from statistics import median

from benchmarks.self.client import Client
from benchmarks.self.functions import pause, same, timed_pause
from benchmarks.self.ideal import ends, makespan
from benchmarks.self.latency import idle_round_trip, percentile
from benchmarks.self.processes import Processes
from benchmarks.self.uneven import WAYS
from distribute_challenge import LocalCluster

__all__ = ["flood", "jumps", "mix", "trapped", "two_clients"]

SLOTS = 8
SHORTS = 10_000  # Calls of about a microsecond in a row: enough that thousands travel together.
# To 1 s and back, twice. There are as many long calls as slots, so that the figure shows if one
# slot runs two of them.
JUMPS = (*[0.0] * SHORTS, *[1.0] * SLOTS, *[0.0] * SHORTS, *[1.0] * SLOTS, *[0.0] * SHORTS)
MIX = (*[0.001] * 960, *[1.0] * 40)
SEED = 4
TRAP = 5.0
TRAPPED = (*[0.001] * 4_000, TRAP, *[0.001] * 4_000)

FLOOD_SLOTS = 4
FLOOD = 100_000
FLOOD_SECONDS = 0.0001
URGENT = 9
SINGLES_BEFORE_END = 2  # At least one of each priority, even if the flood is over at once.

CLIENTS = 2
CALLS_OF_A_CLIENT = 8_000
CLIENT_SECONDS = 0.001


def jumps(workers: int) -> dict[str, float]:
    """Measure calls with durations that jump from 1 µs to 1 s and back."""
    ideal = makespan(JUMPS, SLOTS)
    return {f"jumps_{name}": seconds / ideal for name, seconds in _both_ways(JUMPS).items()}


def mix(workers: int) -> dict[str, float]:
    """Measure a random mix of calls of 1 ms and 1 s."""
    durations = random.Random(SEED).sample(MIX, len(MIX))
    ideal = makespan(durations, SLOTS)
    return {f"mix_{name}": seconds / ideal for name, seconds in _both_ways(durations).items()}


def trapped(workers: int) -> dict[str, float]:
    """Measure one long call among thousands of short ones, until the last short one is back."""
    ideal = max(
        end for end, seconds in zip(ends(TRAPPED, SLOTS), TRAPPED, strict=True) if seconds != TRAP
    )
    found = {}
    for name, run in {"map": _short_by_map, "submit": _short_by_submit}.items():
        with LocalCluster(SLOTS):
            Processes.of_cluster(SLOTS)
            found[f"trapped_{name}"] = run() / ideal
    return found


def flood(workers: int) -> dict[str, float]:
    """Measure single calls of one function while 100,000 of another are in flight."""
    urgent = same.with_options(priority=URGENT)
    latencies: dict[str, list[float]] = {"default": [], "urgent": []}
    with LocalCluster(FLOOD_SLOTS):
        Processes.of_cluster(FLOOD_SLOTS)
        idle = idle_round_trip()
        urgent(0).compute()
        began = time.perf_counter()
        futures = [pause(FLOOD_SECONDS).submit() for _ in range(FLOOD)]
        count = 0
        while count < SINGLES_BEFORE_END or not futures[-1].done():
            name, function = ("default", same) if count % 2 == 0 else ("urgent", urgent)
            asked = time.perf_counter()
            function(count).compute()
            latencies[name].append(time.perf_counter() - asked)
            count += 1
        for future in futures:
            future.result()
        seconds = time.perf_counter() - began
    found = {"flood": seconds / makespan([FLOOD_SECONDS] * FLOOD, FLOOD_SLOTS)}
    for name, times in latencies.items():
        found |= {
            f"flood_{name}_p50": median(times) * 1000,
            f"flood_{name}_p99": percentile(times, 99) * 1000,
            f"flood_{name}_ratio": median(times) / idle,
        }
    return found


def two_clients(workers: int) -> dict[str, float]:
    """Measure two clients that begin at once with equal work, and one with the work of both."""
    with LocalCluster(FLOOD_SLOTS) as cluster:
        Processes.of_cluster(FLOOD_SLOTS)
        (alone,) = _clients(cluster.broker_url, [CLIENTS * CALLS_OF_A_CLIENT])
        both = _clients(cluster.broker_url, [CALLS_OF_A_CLIENT] * CLIENTS)
    all_calls = CLIENTS * CALLS_OF_A_CLIENT
    return {
        "two_clients": max(both) / makespan([CLIENT_SECONDS] * all_calls, FLOOD_SLOTS),
        "one_client": alone / makespan([CLIENT_SECONDS] * all_calls, FLOOD_SLOTS),
        "two_clients_faster": CALLS_OF_A_CLIENT / min(both),
        "two_clients_slower": CALLS_OF_A_CLIENT / max(both),
        "two_clients_fairness": 100 * min(both) / max(both),
    }


def _short_by_map() -> float:
    began = time.perf_counter()
    last = 0.0
    for took in timed_pause.map(TRAPPED, ordered=False):
        if took < TRAP:
            last = time.perf_counter() - began
    return last


def _short_by_submit() -> float:
    began = time.perf_counter()
    futures = [timed_pause(seconds).submit() for seconds in TRAPPED]
    last = 0.0
    for future in as_completed(futures):
        if future.result() < TRAP:
            last = time.perf_counter() - began
    return last


def _both_ways(durations: "tuple[float, ...] | list[float]") -> dict[str, float]:
    """Return the seconds by ``map`` and by ``submit``, each on a new cluster."""
    seconds = {}
    for name, run in WAYS.items():
        with LocalCluster(SLOTS):
            Processes.of_cluster(SLOTS)
            seconds[name] = run(durations)
    return seconds


def _clients(address: str, calls: list[int]) -> list[float]:
    """Return the seconds that each of several clients takes, when all begin together."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(address, count, CLIENT_SECONDS)) for count in calls]
        for client in clients:
            client.wait_until_ready()
        for client in clients:
            client.go()
        return [client.seconds() for client in clients]
