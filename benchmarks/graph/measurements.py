"""Takes the figures: the same code runs for every system, in the system's own session.

A measurement takes a started system and the size of the graph, and returns figures by name:
seconds, calls per second, and units of 2**20 bytes. Results are checked.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.choosing import select
from benchmarks.graph.base import GraphPeer
from benchmarks.graph.functions import MODULUS
from benchmarks.sessions.memory import ClientMemory, RedisMemory

__all__ = ["MEASUREMENTS", "Measurement", "chosen"]

Figures = dict[str, Any]

# A graph that takes a moment only is run several times; the median counts.
ENOUGH = 2.0  # Seconds.
MOST_RUNS = 5
STRIDE = 7  # Between two calls of a layer that the same call needs; no divisor of a layer's width.


def tree(peer: GraphPeer, leaves: int) -> Figures:
    """Measure sums in pairs, submitted one by one, with futures as arguments."""

    def run() -> int:
        level = [peer.submit("inc", number) for number in range(leaves)]
        while len(level) > 1:
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [peer.submit("add", first, second) for first, second in pairs]
        return int(peer.results(level)[0])

    return {"tree": (2 * leaves - 1) / _seconds(run, _sum(range(1, leaves + 1)))}


def chain(peer: GraphPeer, calls: int) -> Figures:
    """Measure a chain that is submitted call by call."""

    def run() -> int:
        last: Any = 0
        for _ in range(calls):
            last = peer.submit("inc", last)
        return int(peer.results([last])[0])

    return {"chain": calls / _seconds(run, calls)}


def long_chain(peer: GraphPeer, calls: int) -> Figures:
    """Measure a chain that is known before its first call runs."""
    return {"long_chain": _seconds(lambda: peer.chain_at_once(calls), calls)}


def fan_out(peer: GraphPeer, calls: int) -> Figures:
    """Measure many calls and the total of their results, and the same calls without the total."""

    def submit() -> list[Any]:
        return [peer.submit("inc", number) for number in range(calls)]

    expected = _sum(range(1, calls + 1))
    with_total = _seconds(lambda: peer.results([peer.submit_total(submit())])[0], expected)
    alone = _seconds(lambda: _sum(peer.results(submit())), expected)
    return {"fan_out": (calls + 1) / with_total, "fan_out_alone": calls / alone}


def rows(peer: GraphPeer, width: int) -> Figures:
    """Measure two rows of calls, of which each call of the second needs all of the first."""

    def run() -> int:
        first = [peer.submit("inc", number) for number in range(width)]
        return _sum(peer.results([peer.submit_total(first) for _ in range(width)]))

    return {"rows": 2 * width / _seconds(run, width * _sum(range(1, width + 1)))}


def layers(peer: GraphPeer, depth: int, width: int, needs: int) -> Figures:
    """Measure layers of calls, of which each call needs some of the layer before it."""

    def needed(layer: Sequence[Any], place: int) -> list[Any]:
        return [layer[(place + STRIDE * number) % width] for number in range(needs)]

    def run() -> int:
        layer = [peer.submit("inc", number) for number in range(width)]
        for _ in range(depth - 1):
            layer = [peer.submit_total(needed(layer, place)) for place in range(width)]
        return _sum(peer.results(layer))

    values = [number + 1 for number in range(width)]
    for _ in range(depth - 1):
        values = [_sum(needed(values, place)) for place in range(width)]
    used = time.process_time()
    times = _times(run, _sum(values))
    used = (time.process_time() - used) / len(times)
    edges = (depth - 1) * width * needs
    return {"layers": depth * width / median(times), "layers_cpu": used / edges}


def array_chain(peer: GraphPeer, size: int, links: int) -> Figures:
    """Measure an array that is made on a worker, changed by call after call, and read there."""

    def run() -> float:
        last = peer.submit("ones", size, 1.0)
        for _ in range(links):
            last = peer.submit("plus_one", last)
        return float(peer.results([peer.submit("item", last)])[0])

    with ClientMemory() as memory:
        seconds = _seconds(run, 1.0 + links)
    return {"array_chain": seconds, **_told(array_chain_client=memory.growth)}


def arrays(peer: GraphPeer, count: int, size: int) -> Figures:
    """Measure arrays between two layers, of which each call of the second needs two."""

    def run() -> float:
        made = [peer.submit("ones", size, float(number)) for number in range(count)]
        pairs = zip(made, [*made[1:], made[0]], strict=True)
        return sum(peer.results([peer.submit("items", *pair) for pair in pairs]))

    with ClientMemory() as client, RedisMemory(peer.redis_url()) as redis:
        (seconds,) = _times(run, float(count * (count - 1)), most=1)
    return {"arrays": seconds, **_told(arrays_client=client.growth, arrays_redis=redis.growth)}


def nodes(peer: GraphPeer, chains: int, calls: int) -> Figures:
    """Measure a graph of many calls that is computed at once, and what the client takes for it."""
    with ClientMemory() as memory:
        (seconds,) = _times(
            lambda: peer.chains_at_once(chains, calls),
            _sum(number + calls for number in range(chains)),
            most=1,
        )
    count = chains * calls + 1
    each = None if memory.growth is None else memory.growth * 1024 / count
    return {"nodes": count / seconds, **_told(nodes_client=each)}


@dataclass(frozen=True)
class Measurement:
    """A function that takes figures, and the size of its graph.

    Attributes:
        take: The function; its name is the measurement's.
        size: Its arguments behind the system.
        quick: The same for ``--quick``, and for the warm-up.
        deadline: Seconds after which it counts as hung.
    """

    take: Callable[..., Figures]
    size: tuple[int, ...]
    quick: tuple[int, ...]
    deadline: float = 300.0

    @property
    def name(self) -> str:
        """Name for ``--measure``."""
        return self.take.__name__

    def figures(self, peer: GraphPeer, *, quick: bool) -> Figures:
        """Take the figures, after a warm-up at the smaller size.

        Args:
            peer: The system.
            quick: Whether to take them at the smaller size, too.
        """
        self.take(peer, *self.quick)
        return self.take(peer, *(self.quick if quick else self.size))


_ALL = (
    Measurement(tree, (2_048,), (64,)),
    Measurement(chain, (300,), (30,)),
    # Some systems take a hundredth of a second for each call.
    Measurement(long_chain, (10_000,), (30,), deadline=900.0),
    Measurement(fan_out, (10_000,), (100,), deadline=600.0),
    Measurement(rows, (24,), (4,)),
    Measurement(layers, (100, 100, 10), (3, 10, 3), deadline=600.0),
    Measurement(array_chain, (32_000_000, 10), (800_000, 3)),
    Measurement(arrays, (50, 32_000_000), (4, 800_000)),
    Measurement(nodes, (1_000, 1_000), (10, 10), deadline=1_800.0),
)

MEASUREMENTS = {measurement.name: measurement for measurement in _ALL}


def chosen(names: Sequence[str]) -> list[Measurement]:
    """Return the measurements with these names, in their order; all if no name is given.

    Raises:
        KeyError: No measurement has one of the names.
    """
    return select(MEASUREMENTS, names, "measurement")


def _seconds(run: Callable[[], float], expected: float) -> float:
    return median(_times(run, expected))


def _times(run: Callable[[], float], expected: float, most: int = MOST_RUNS) -> list[float]:
    """Return the seconds of some runs.

    Args:
        run: Runs the graph, and returns its result.
        expected: What the result must be.
        most: Number of runs, however little time they take.
    """
    times: list[float] = []
    while len(times) < most and sum(times) < ENOUGH:
        began = time.perf_counter()
        result = run()
        times.append(time.perf_counter() - began)
        if result != expected:
            raise AssertionError(f"the graph returned {result!r}, expected {expected!r}")
    return times


def _told(**figures: float | None) -> Figures:
    """Return the figures that are known."""
    return {name: figure for name, figure in figures.items() if figure is not None}


def _sum(numbers: Any) -> int:
    return int(sum(numbers)) % MODULUS
