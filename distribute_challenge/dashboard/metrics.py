"""A snapshot in the text format of Prometheus, version 0.0.4."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from distribute_challenge.dashboard.snapshot import Snapshot

__all__ = ["CONTENT_TYPE", "metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX: Final = "distribute_challenge_"
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

#: Labels and a value.
_Sample = tuple[Mapping[str, str], float]


def metrics(snapshot: Snapshot) -> str:
    """Return the metrics of a cluster.

    Counters begin when the watch begins; a scrape keeps it going for some minutes.

    Args:
        snapshot: The cluster.
    """
    return "".join(line for family in _families(snapshot) for line in family)


def _families(snapshot: Snapshot) -> Iterator[Iterable[str]]:
    totals, redis = snapshot.totals, snapshot.redis
    yield _one("workers", "gauge", "Workers that are present.", totals.workers)
    yield _one("processes", "gauge", "Processes of these workers.", totals.processes)
    yield _one("busy_processes", "gauge", "Processes that run a message.", totals.busy)
    yield _one("clients", "gauge", "Clients that are present.", totals.clients)
    yield _one("detached_calls", "gauge", "Unfinished detached calls.", totals.detached_calls)
    yield _one("redis_memory_bytes", "gauge", "Memory that Redis uses.", redis.memory)
    yield _one(
        "redis_memory_limit_bytes", "gauge", "Redis' maxmemory; 0: none.", redis.memory_limit
    )
    yield _family(
        "unfinished_calls",
        "gauge",
        "Unfinished calls that clients hold.",
        [({"queue": row.name}, row.unfinished_calls) for row in snapshot.queues],
    )
    yield _family(
        "queue_messages",
        "gauge",
        "Messages that wait in Redis.",
        [({"queue": row.name}, row.messages) for row in snapshot.queues],
    )
    yield _family(
        "queue_items",
        "gauge",
        "Items of a named queue: those that wait, those that are not done, and dead letters.",
        [
            ({"queue": row.name, "state": state}, count)
            for row in snapshot.item_queues
            for state, count in (
                ("waiting", row.waiting),
                ("unfinished", row.unfinished),
                ("dead", row.dead),
            )
        ],
    )
    here = [row for row in snapshot.workers if row.state in ("here", "silent")]
    yield _family(
        "worker_memory_bytes",
        "gauge",
        "Memory of a worker's processes.",
        [({"worker": row.name}, row.memory) for row in here if row.memory is not None],
    )
    yield _family(
        "worker_memory_limit_bytes",
        "gauge",
        "Memory that they may take.",
        [({"worker": row.name}, row.memory_limit) for row in here if row.memory_limit is not None],
    )
    yield _family(
        "worker_silence_seconds",
        "gauge",
        "Time since a worker's last sign of life.",
        [({"worker": row.name}, row.age) for row in here],
    )
    yield _family(
        "worker_refused_messages_total",
        "counter",
        "Messages that a worker has refused.",
        [({"worker": row.name}, row.refused) for row in here],
    )
    functions = snapshot.functions
    yield _family(
        "calls_total",
        "counter",
        "Calls that have ended.",
        [({"function": row.name}, row.done) for row in functions],
    )
    yield _family(
        "failed_calls_total",
        "counter",
        "Calls that have failed.",
        [({"function": row.name}, row.failed) for row in functions],
    )
    yield _family(
        "call_seconds_total",
        "counter",
        "Time that calls took.",
        [({"function": row.name}, row.seconds) for row in functions],
    )
    graphs: Counter[tuple[str, str]] = Counter()
    for graph in snapshot.graphs:
        if graph.is_open:
            for state in ("waiting", "out", "ended"):
                graphs[graph.name, state] += getattr(graph, state)
    yield _family(
        "graph_calls",
        "gauge",
        "Calls of the graphs that go on, by the functions of their results: those that wait, those "
        "that are out, and those that have ended.",
        [({"graph": name, "state": state}, calls) for (name, state), calls in graphs.items()],
    )
    yield _one("messages_total", "counter", "Messages that have ended.", totals.messages)
    yield _one(
        "lost_messages_total",
        "counter",
        "Messages whose process died, or had to be killed.",
        totals.lost_messages,
    )


def _one(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    return _family(name, kind, text, [({}, value)])


def _family(name: str, kind: str, text: str, samples: Iterable[_Sample]) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {text}\n# TYPE {_PREFIX}{name} {kind}\n"
    for labels, value in samples:
        inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        yield f"{_PREFIX}{name}{'{' + inside + '}' if inside else ''} {value!r}\n"
