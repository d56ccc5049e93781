"""A client process, which keeps as many calls in flight as it is told.

    python -m benchmarks.growth.client ADDRESS

It prints ``ready`` once a first call is back. Then it answers each line of JSON that it reads, which
says how to load the cluster, with a line that says what came of it; see `Load` and `Loaded`.
"""

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.client_process import ClientProcess
from benchmarks.growth.functions import length
from benchmarks.self.functions import same
from distribute_challenge import set_default_backend
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

__all__ = ["Client", "Load", "Loaded", "main"]

SAMPLES = 5_000  # Latencies of a load, at equal distances.


@dataclass(frozen=True)
class Load:
    """How a client loads the cluster.

    Attributes:
        in_flight: Calls in flight.
        seconds: For how long; at least so many calls are made as are to be in flight.
        size: Bytes of an argument; 0: a small number.
    """

    in_flight: int
    seconds: float
    size: int = 0


@dataclass(frozen=True)
class Loaded:
    """What came of it.

    Attributes:
        calls: Calls made, all of which are back.
        seconds: How long that took.
        cpu: CPU time of the client, in seconds.
        latencies: Seconds from the call to its result, of some calls.
    """

    calls: int
    seconds: float
    cpu: float
    latencies: list[float]


class Client(ClientProcess):
    """A client that loads the cluster.

    Args:
        address: Address of the cluster.
    """

    def __init__(self, address: str) -> None:
        super().__init__("benchmarks.growth.client", address)

    def begin(self, load: Load) -> None:
        """Have the client load the cluster."""
        self.write(json.dumps(asdict(load)))

    def end(self) -> Loaded:
        """Wait for the end of the load."""
        return Loaded(**json.loads(self.read()))


def main(address: str) -> None:
    """Load the cluster as each line says."""
    set_default_backend(CeleryExecutionBackend(address))
    assert same(1).compute() == 1
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(loaded(Load(**json.loads(line))))), flush=True)


def loaded(load: Load) -> Loaded:
    """Load the cluster that is the default, and return what came of it."""
    make = _calls(load.size)
    began, cpu = time.perf_counter(), time.process_time()
    latencies = (
        _by_one(make, load.seconds)
        if load.in_flight == 1
        else _together(make, load.in_flight, load.seconds)
    )
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    step = max(1, len(latencies) // SAMPLES)
    return Loaded(len(latencies), seconds, cpu, latencies[::step])


def _calls(size: int) -> Callable[[int], Any]:
    """Return a function that makes the call of a number."""
    if not size:
        return same
    import numpy

    array = numpy.zeros(size, dtype=numpy.uint8)
    beginning = array[:8]

    def call(number: int) -> Any:
        # Other bytes in each call: equal arguments would be stored once.
        beginning[:] = numpy.frombuffer(number.to_bytes(8, "little"), numpy.uint8)[: len(beginning)]
        return length(array)

    return call


def _by_one(make: Callable[[int], Any], seconds: float) -> list[float]:
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while not latencies or time.perf_counter() < end:
        call = make(len(latencies))
        began = time.perf_counter()
        call.compute()
        latencies.append(time.perf_counter() - began)
    return latencies


def _together(make: Callable[[int], Any], in_flight: int, seconds: float) -> list[float]:
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    futures = deque(make(number).submit() for number in range(in_flight))
    made = in_flight
    while futures:
        future = futures.popleft()
        future.result()
        timeline = future.timeline
        latencies.append(timeline.received - timeline.created)
        if time.perf_counter() < end:
            futures.append(make(made).submit())
            made += 1
    return latencies


if __name__ == "__main__":
    main(sys.argv[1])
