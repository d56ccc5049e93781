"""Says what limits a load, from the CPU times of its processes."""

from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import number

__all__ = ["KINDS", "costs", "limit"]

#: The kinds of processes, as tables name them.
KINDS = {
    "client": "client",
    "main": "worker's main process",
    "child": "worker's children",
    "redis": "Redis",
}
# Shares of a core, or of all, above which it counts as busy: no process and no machine is ever
# measured at exactly 100 %.
BUSY_PROCESS = 0.85
BUSY_MACHINE = 0.85
MANY = 0.1  # Share of the machine above which other programs are named.


def costs(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the CPU time of each kind of process for a call, in microseconds."""
    return {kind: 1e6 * figures["busy"][kind] / figures["calls"] for kind in KINDS}


def limit(figures: Mapping[str, Any], in_flight: int) -> str:
    """Say in some words what limits a load.

    Each process has one core at most: its Python runs one thread at a time, and so does Redis.

    Args:
        figures: `measuring.Figures`, as plain values.
        in_flight: Calls in flight in each client.
    """
    seconds, busy = figures["seconds"], figures["busy"]
    shares = {kind: busy[kind] / seconds for kind in ("main", "redis")}
    shares |= {kind: cpu / seconds for kind, cpu in figures["busiest"].items()}
    first = max(shares, key=lambda kind: shares[kind])
    if in_flight == 1:
        return "one call at a time: the steps of a call"
    if shares[first] >= BUSY_PROCESS:
        return f"a core: {KINDS[first]}"
    available, all_busy = figures["cores"] * seconds, sum(busy.values())
    if all_busy < BUSY_MACHINE * available:
        return "no core: waiting for each other"
    # All processes have the cores together; with a core for each, the busiest would be the limit.
    rate = figures["calls"] / (seconds * shares[first])
    text = f"all cores; with a core each: {KINDS[first]}, {number(rate)} calls/s"
    others = busy["others"] / available
    return f"{text} (other programs: {others:.0%} of the machine)" if others > MANY else text
