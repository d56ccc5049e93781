"""Makes the calls, and looks at the cluster meanwhile."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.soak import leftovers
from benchmarks.soak.growth import Sample, growth
from distribute_challenge.benchmarking.clusters import Cluster
from distribute_challenge.benchmarking.extra import Lazily
from distribute_challenge.core.tables import table
from distribute_challenge.decorator import compute_this
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect

__all__ = ["Result", "soak_cluster"]

psutil = Lazily("psutil")

MEGABYTE = 1e6
SLICE = 100_000  # Calls made in one way before it is the other's turn.
ON_THEIR_WAY = 10_000  # Submitted calls whose futures are kept.
ROWS = 20  # Of the table, whatever the number of samples.


@dataclass(frozen=True)
class Result:
    """What was seen.

    Args:
        calls: Calls made.
        seconds: That they took.
        bound: Bytes that a process may grow by.
        samples: Memory over time.
        keys: What was left in Redis when the client had gone.
    """

    calls: int
    seconds: float
    bound: float
    samples: list[Sample]
    keys: list[leftovers.Key]

    @property
    def growth(self) -> dict[str, int]:
        """Bytes by which each process has grown since it was warm."""
        return growth(self.samples, self.calls)

    @property
    def unknown(self) -> list[leftovers.Key]:
        """Keys that are not documented."""
        return leftovers.unknown(self.keys)

    @property
    def passed(self) -> bool:
        """Whether memory is flat, and nothing unknown is left; also that there was enough to tell."""
        return bool(self.growth) and max(self.growth.values()) <= self.bound and not self.unknown

    def save(self, path: Path) -> None:
        """Write it down, as JSON."""
        judged = {"passed": self.passed, "growth": self.growth, "unknown": self.unknown}
        path.write_text(json.dumps({**asdict(self), **judged}, indent=2) + "\n")

    def text(self) -> str:
        """What people read."""
        names = list(dict.fromkeys(name for sample in self.samples for name in sample.memory))
        every = -(-len(self.samples) // ROWS)
        shown = [*self.samples[:-1:every], self.samples[-1]]
        rows = [
            [
                f"{sample.seconds:.0f}",
                f"{sample.calls:,}",
                *(_megabytes(sample.memory.get(name)) for name in names),
            ]
            for sample in shown
        ]
        rows.append(["", "growth", *(_megabytes(self.growth.get(name)) for name in names)])
        lines = [
            (
                f"{self.calls:,} calls in {self.seconds:.0f} s; memory in MB, growth from the second "
                f"fifth to the last"
            ),
            "",
            table(["seconds", "calls", *names], rows, right=range(len(names) + 2)),
            "",
            "left in Redis:",
            *(f"  {name!r} ({kind}, {_lifetime(ttl)})" for name, kind, ttl in self.keys),
        ]
        if self.unknown:
            lines += ["", "not documented:", *(f"  {name!r}" for name, _, _ in self.unknown)]
        over = [name for name, grown in self.growth.items() if grown > self.bound]
        if over:
            lines += ["", f"grown by more than {_megabytes(self.bound)} MB: {', '.join(over)}"]
        if not self.growth:
            lines += [
                "",
                (
                    "too few samples to tell whether anything grows: make more calls, or look more "
                    "often"
                ),
            ]
        return "\n".join([*lines, "", "passed" if self.passed else "FAILED"])


def soak_cluster(
    cluster: Cluster,
    *,
    calls: int,
    workers: int,
    every: float,
    bound: float,
    say: Callable[[str], None] = print,
) -> Result:
    """Make the calls on a cluster that is started and ended with it.

    Args:
        cluster: The cluster.
        calls: Calls in all.
        workers: Worker processes.
        every: Seconds between two looks.
        bound: Bytes that a process may grow by.
        say: Gets a line of progress now and then.

    Raises:
        SystemFailureError: The cluster fails, or a call gives a wrong value.
    """
    with cluster:
        cluster.scale(workers)
        watch = _Watch(cluster, every)
        with CeleryExecutionBackend(cluster.broker_url) as backend:
            watch.start()
            try:
                _make_calls(backend, calls, watch, say)
            finally:
                watch.stop()
        with connect(cluster.broker_url) as connection:
            left = leftovers.keys(connection)
    return Result(calls, watch.seconds, bound, watch.samples, left)


@compute_this
def negative(number: int) -> int:
    """As little as a call can do, and still be right or wrong."""
    return -number


def _make_calls(
    backend: CeleryExecutionBackend, calls: int, watch: "_Watch", say: Callable[[str], None]
) -> None:
    size = min(SLICE, -(-calls // 2))
    tenths = 1
    while watch.calls < calls:
        for way in (_by_map, _by_submit):
            numbers = range(watch.calls, min(watch.calls + size, calls))
            if way(backend, numbers) != -sum(numbers):
                raise SystemFailureError(
                    f"calls {numbers.start} to {numbers.stop} gave wrong values"
                )
            watch.calls = numbers.stop
        if watch.calls >= calls * tenths / 10:
            say(f"{watch.calls:,} calls, {watch.seconds:.0f} s")
            tenths = watch.calls * 10 // calls + 1


def _by_map(backend: CeleryExecutionBackend, numbers: range) -> int:
    return sum(negative.map(numbers, backend=backend))


def _by_submit(backend: CeleryExecutionBackend, numbers: range) -> int:
    total = 0
    for start in range(numbers.start, numbers.stop, ON_THEIR_WAY):
        futures = [
            negative(number).submit(backend)
            for number in range(start, min(start + ON_THEIR_WAY, numbers.stop))
        ]
        total += sum(future.result() for future in futures)
    return total


class _Watch:
    """Looks at memory every few seconds, from a thread of its own.

    Args:
        cluster: What to look at, beside this process.
        every: Seconds.
    """

    def __init__(self, cluster: Cluster, every: float) -> None:
        self.calls = 0
        self.samples: list[Sample] = []
        self._cluster, self._every = cluster, every
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")

    @property
    def seconds(self) -> float:
        """Since the start; since then to the last look, when it is over."""
        return self.samples[-1].seconds if self._over.is_set() else time.monotonic() - self._begun

    def start(self) -> None:
        self._begun = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        over = False
        while not over:
            over = self._over.wait(self._every)
            memory = {"client": int(psutil.Process().memory_info().rss)}
            memory |= {name: int(usage.memory) for name, usage in self._cluster.usage().items()}
            self.samples.append(Sample(self.calls, time.monotonic() - self._begun, memory))


def _megabytes(amount: float | None) -> str:
    return "-" if amount is None else f"{amount / MEGABYTE:.1f}"


def _lifetime(ttl: int) -> str:
    return "stays" if ttl < 0 else f"{ttl} s to live"
