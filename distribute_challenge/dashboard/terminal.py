"""A snapshot as text, for ``distribute-challenge top``."""

from collections.abc import Iterator
from typing import Final

from distribute_challenge.core.printable import printable
from distribute_challenge.core.sizes import as_size
from distribute_challenge.core.tables import table
from distribute_challenge.dashboard.snapshot import (
    FunctionRow,
    GraphRow,
    ItemQueueRow,
    Lane,
    MapRow,
    Snapshot,
    WorkerRow,
)

__all__ = ["screen"]

BAR: Final = 20  # Characters of a bar.
MOST_RUNNING: Final = 12  # Lines about processes.
MOST_FAILURES: Final = 5
SPARKS: Final = "▁▂▃▄▅▆▇█"


def screen(snapshot: Snapshot, width: int, height: int) -> str:
    """Return the lines of a screen; what does not fit is left out from the end.

    Args:
        snapshot: What to show.
        width: Columns.
        height: Lines.
    """
    lines = [line[:width].rstrip() for part in _parts(snapshot, width) for line in part]
    return "\n".join(lines[:height])


def _parts(snapshot: Snapshot, width: int) -> Iterator[list[str]]:
    totals, redis = snapshot.totals, snapshot.redis
    limit = f" of {as_size(redis.memory_limit)}" if redis.memory_limit else ""
    rates = [point.calls for point in snapshot.points[-(width // 2) :]]
    rate = sum(rates[-5:]) / max(1, len(rates[-5:]))
    yield [printable(snapshot.broker)]
    yield [f"Redis {printable(redis.version)}, {as_size(redis.memory)}{limit}"]
    busy = f"workers: {totals.workers}, processes busy: {totals.busy} of {totals.processes}"
    yield [f"{busy}, unfinished calls: {totals.unfinished_calls:,}"]
    ended = f"ended: {totals.calls:,}, failed: {totals.failed:,}"
    yield [f"calls a second: {rate:,.1f}, {ended}, lost messages: {totals.lost_messages:,}"]
    yield [f"note: {printable(note)}" for note in snapshot.notes]
    if any(rates):
        yield [f"calls/s {_sparks(rates)}"]
    yield _titled(
        ["worker", "state", "busy", "memory", "of", "seen", "queues"],
        [_worker(row) for row in snapshot.workers],
        "no worker is present",
    )
    yield _more(snapshot.workers_left_out, "workers")
    running = [lane for lane in snapshot.lanes if lane.bars and lane.bars[-1].state is None]
    running.sort(key=lambda lane: lane.bars[-1].began)
    if running:
        rows = [_running(lane) for lane in running[:MOST_RUNNING]]
        yield _titled(["running", "for", "worker", "process", "memory"], rows, "")
        yield _more(len(running) - MOST_RUNNING, "running messages")
    if snapshot.functions:
        rows = [_function(row) for row in snapshot.functions]
        heads = ["function", "", "ended", "failed", "out", "waiting", "each"]
        yield _titled(heads, rows, "")
        yield _more(snapshot.functions_left_out, "functions")
    open_maps = [row for row in snapshot.maps if row.is_open]
    if open_maps:
        yield _titled(["map", "", "done", "of", "failed"], [_map(row) for row in open_maps], "")
    open_graphs = [row for row in snapshot.graphs if row.is_open]
    if open_graphs:
        heads = ["graph", "", "ended", "of", "out", "waiting", "failed", "for"]
        yield _titled(heads, [_graph(row) for row in open_graphs], "")
        yield _more(snapshot.graphs_left_out, "graphs")
    yield _titled(
        ["queue", "unfinished", "messages", "processes"],
        [[row.name, row.unfinished_calls, row.messages, row.processes] for row in snapshot.queues],
        "",
    )
    if snapshot.item_queues:
        heads = ["queue of items", "", "waiting", "not done", "dead letters"]
        yield _titled(heads, [_item_queue(row) for row in snapshot.item_queues], "")
        yield _more(snapshot.item_queues_left_out, "queues of items")
    if snapshot.failures:
        yield ["", "failures"]
        yield [
            f"  {printable(row.function)} on {printable(row.worker)}/{row.pid}: "
            f"{printable(row.error)}"
            for row in snapshot.failures[:MOST_FAILURES]
        ]


def _titled(heads: list[str], rows: list[list[object]], if_none: str) -> list[str]:
    return ["", *table(heads, rows).splitlines()] if rows else ["", if_none]


def _more(number: int, what: str) -> list[str]:
    return [f"and {number} more {what}"] if number > 0 else []


def _worker(row: WorkerRow) -> list[object]:
    busy = "-" if row.busy is None else f"{row.busy}/{row.processes}"
    memory = "-" if row.memory is None else as_size(row.memory)
    limit = "-" if row.memory_limit is None else as_size(row.memory_limit)
    return [row.name, row.state, busy, memory, limit, f"{row.age:.0f} s", ",".join(row.queues)]


def _running(lane: Lane) -> list[object]:
    bar = lane.bars[-1]
    return [bar.function, f"{bar.took:.1f} s", lane.worker, str(lane.pid), as_size(lane.memory)]


def _function(row: FunctionRow) -> list[object]:
    total = row.done + row.out + row.waiting
    each = f"{row.seconds / row.done:.2g} s" if row.seconds else "-"
    return [row.name, _bar(row.done, total), row.done, row.failed, row.out, row.waiting, each]


def _map(row: MapRow) -> list[object]:
    total = "?" if row.total is None else str(row.total)
    return [row.name, _bar(row.done, row.total or row.done), row.done, total, row.failed]


def _graph(row: GraphRow) -> list[object]:
    ended = row.ended or 0
    bar = _bar(ended, row.calls)
    took = f"{row.took:.1f} s"
    return [row.name, bar, ended, row.calls, row.out, row.waiting, row.failed, took]


def _item_queue(row: ItemQueueRow) -> list[object]:
    filled = _bar(min(row.waiting, row.maxsize), row.maxsize) if row.maxsize else ""
    # The name is not signed.
    return [printable(row.name), filled, row.waiting, row.unfinished, row.dead]


def _bar(done: int, total: int) -> str:
    full = BAR * done // total if total else 0
    return "█" * full + "░" * (BAR - full)


def _sparks(rates: list[float]) -> str:
    highest = max(rates)
    return "".join(SPARKS[int((len(SPARKS) - 1) * rate / highest)] for rate in rates)
