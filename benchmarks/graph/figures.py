"""The rows of the tables."""

from benchmarks.sessions.results import Figure

__all__ = ["FIGURES"]

FIGURES = (
    Figure("tree", "tree", "tree: 2,048 leaves, sums in pairs, tasks/s", more_is_better=True),
    Figure("chain", "chain", "chain of 300, submitted call by call, tasks/s", more_is_better=True),
    Figure("long_chain", "long_chain", "chain of 10,000, known at once, s"),
    Figure("fan_out", "fan_out", "10,000 calls and their total, tasks/s", more_is_better=True),
    Figure("fan_out_alone", "fan_out", "the same without the total, tasks/s", more_is_better=True),
    Figure("rows", "rows", "24 calls that need all of 24 others, tasks/s", more_is_better=True),
    Figure("layers", "layers", "100 layers × 100, 10 needs each, tasks/s", more_is_better=True),
    Figure("layers_cpu", "layers", "of it CPU of the client for each need, µs", 1e6),
    Figure("array_chain", "array_chain", "32 MB array through 10 links, s"),
    Figure("array_chain_client", "array_chain", "by which the client grows, MB", is_compared=False),
    Figure("arrays", "arrays", "50 arrays of 32 MB between two layers, s"),
    Figure("arrays_client", "arrays", "by which the client grows, MB", is_compared=False),
    Figure("arrays_redis", "arrays", "by which Redis grows, MB", is_compared=False),
    Figure("nodes", "nodes", "a million calls, computed at once, tasks/s", more_is_better=True),
    Figure("nodes_client", "nodes", "memory of the client for each call, kB", is_compared=False),
)
