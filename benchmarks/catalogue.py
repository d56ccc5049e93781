"""Lists the benchmarks that compare the library with others, in the order of the table."""

from collections.abc import Sequence

from benchmarks.choosing import select
from benchmarks.faces.benchmark import FACES
from benchmarks.graph.benchmark import BENCHMARK as GRAPH
from benchmarks.mapreduce.benchmark import MAP_REDUCE
from benchmarks.peers.benchmark import BENCHMARK as PEERS
from benchmarks.queues.benchmark import QUEUES
from benchmarks.sessions.benchmark import Benchmark

__all__ = ["CATALOGUE", "chosen"]

_BENCHMARKS = (PEERS, GRAPH, FACES.benchmark, MAP_REDUCE.benchmark, QUEUES.benchmark)

CATALOGUE = {benchmark.name: benchmark for benchmark in _BENCHMARKS}


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """Return the benchmarks with these names, in the catalogue's order; all if no name is given.

    Raises:
        KeyError: No benchmark has one of the names.
    """
    return select(CATALOGUE, names, "benchmark")
