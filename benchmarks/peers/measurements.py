"""Takes the figures: the same code runs for every peer, in the peer's own session.

A measurement takes a started peer and the seconds that it should last, and returns figures by name:
seconds, or calls per second. The number of calls depends on the peer's speed. Results are checked,
outside of the timed part if checking takes time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.choosing import select
from benchmarks.peers.base import Peer

__all__ = ["MEASUREMENTS"]

Figures = dict[str, Any]

FEWEST_CALLS = 200
MOST_CALLS = 2_000_000  # Enough for the fastest; more would measure the client's memory.
WARM_UP_CALLS = 20
PAYLOAD_BYTES = 32_000_000
SHARED_BYTES = 50_000_000
SHARED_CALLS = 200
# Seconds that all shared calls may take; beyond that, the figure is extrapolated from some of them.
SHARED_LIMIT = 10.0
# Seconds. A peer that takes longer for one of the first calls sends the array each time, and two
# calls suffice to show that.
SLOW_CALL = 1.0
ITEM_BYTES = 8


def round_trip(peer: Peer, seconds: float) -> Figures:
    """Measure calls one after the other, each waited for."""
    for number in range(WARM_UP_CALLS):
        peer.round_trip(number)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end or len(times) < FEWEST_CALLS:
        result = peer.round_trip(7)
        times.append(time.perf_counter() - began)
        _check(result, 7)
    times.sort()
    return {
        "round_trip_p50": times[len(times) // 2],
        "round_trip_p99": times[len(times) * 99 // 100],
        "round_trip_calls": len(times),
    }


def submit_and_gather(peer: Peer, seconds: float) -> Figures:
    """Measure many calls that are submitted one by one, and then all results."""
    calls, rate = _rate(peer.submit_and_gather, seconds)
    return {"submit_and_gather": rate, "submit_and_gather_calls": calls}


def many(peer: Peer, seconds: float) -> Figures:
    """Measure many calls in the peer's own way to make them."""
    calls, rate = _rate(peer.map, seconds)
    return {"map": rate, "map_calls": calls}


def other_ways(peer: Peer, seconds: float) -> Figures:
    """Measure the peer's further ways to make many calls, if it has any."""
    ways = peer.other_ways()
    return {"other_ways": {name: _rate(way, seconds / len(ways))[1] for name, way in ways.items()}}


def payload(peer: Peer, seconds: float) -> Figures:
    """Measure a large array sent and one returned, new ones each time, so that no cache helps."""
    import numpy

    def once(number: int) -> float:
        array = numpy.arange(PAYLOAD_BYTES // ITEM_BYTES, dtype=numpy.float64) + number
        began = time.perf_counter()
        result = peer.payload(array)
        took = time.perf_counter() - began
        if not numpy.array_equal(result, array + 1):
            raise AssertionError("payload: what came back is not the array plus one")
        return took

    warm_up = once(0)
    fewest = 3 if warm_up < seconds else 1
    times: list[float] = []
    while sum(times) < seconds or len(times) < fewest:
        times.append(once(len(times) + 1))
    times.sort()
    return {"payload": times[len(times) // 2], "payload_calls": len(times)}


def shared_payload(peer: Peer, seconds: float) -> Figures:
    """Measure calls that share one large array.

    If all calls would take minutes, the figure is extrapolated from a few of them.
    """
    import numpy

    def take(calls: int, offset: int) -> float:
        array = numpy.arange(SHARED_BYTES // ITEM_BYTES, dtype=numpy.float64) + offset
        began = time.perf_counter()
        result = peer.shared_payload(array, calls)
        took = time.perf_counter() - began
        _check(result, calls * (calls - 1) / 2 + calls * offset)
        return took

    calls = 2
    took = take(calls, 1)
    if took / calls < SLOW_CALL:
        # A system that shares the array pays for the first calls only, so the slope shows whether
        # there is time for all calls.
        few, more = 2, 6
        each = (take(more, 2) - take(few, 3)) / (more - few)
        calls = (
            SHARED_CALLS
            if each * SHARED_CALLS < SHARED_LIMIT
            else max(more, min(50, int(seconds / each)))
        )
        took = take(calls, 4)
    return {
        "shared_payload": took * SHARED_CALLS / calls,
        "shared_payload_calls": calls,
        "shared_payload_extrapolated": calls < SHARED_CALLS,
    }


MEASUREMENTS: dict[str, Callable[[Peer, float], Figures]] = {
    "round_trip": round_trip,
    "submit_and_gather": submit_and_gather,
    "map": many,
    "other_ways": other_ways,
    "payload": payload,
    "shared_payload": shared_payload,
}


def chosen(names: Sequence[str]) -> list[str]:
    """Return these names of measurements, in their order; all if no name is given.

    Raises:
        KeyError: No measurement has one of the names.
    """
    return select({name: name for name in MEASUREMENTS}, names, "measurement")


def _rate(run: Callable[[int], int], seconds: float) -> tuple[int, float]:
    """Raise the number of calls until they take long enough.

    Returns:
        Calls of the last run, and calls per second.
    """
    run(WARM_UP_CALLS)
    calls = FEWEST_CALLS
    while True:
        began = time.perf_counter()
        result = run(calls)
        took = time.perf_counter() - began
        _check(result, calls * (calls - 1) // 2)
        if took > seconds / 2 or calls == MOST_CALLS:
            return calls, calls / took
        # At most ten times as many: systems that batch are slow at first, and others have costs
        # that grow with the calls in flight.
        calls = min(MOST_CALLS, int(calls * min(10.0, max(1.1, seconds / took))))


def _check(result: float, expected: float) -> None:
    if result != expected:
        raise AssertionError(f"the calls returned {result!r} in all, expected {expected!r}")
