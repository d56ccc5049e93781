"""What it costs to watch: the same work, in turns watched and not watched, in one run.

It counts the CPU time of the client, the worker with its processes, and Redis, and compares medians.
On a machine that other programs use, the time that passes would say less.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import nan
from statistics import median
from typing import Any

import psutil

from distribute_challenge import LocalCluster, compute_this

__all__ = ["Figures", "measured", "ratio"]

REPEATS = 5  # Of each kind of work in a round: to switch takes longer than to run.
SETTLE = 3.5  # Seconds after which workers and client have seen that the watch began or ended.

# Looks as the dashboard's server does, between a line "watch" and a line "rest".
WATCHER = """
import select, sys
from distribute_challenge.dashboard.collector import Collector
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import WATCHED

collector, connection = Collector(sys.argv[1]), connect(sys.argv[1])
for line in sys.stdin:
    if line == "watch\\n":
        while not select.select([sys.stdin], [], [], 1.0)[0]:
            collector.look().to_json()
    else:
        connection.delete(WATCHED)
        print("done", flush=True)
"""

#: For each kind of work: the CPU seconds of the rounds not watched, and of those watched.
Figures = dict[str, tuple[list[float], list[float]]]


@compute_this
def square(x: Any) -> Any:
    return x * x


@compute_this
def add_up(values: Any) -> int:
    return sum(values)


@compute_this
def nap(seconds: float) -> None:
    time.sleep(seconds)


def map_short(calls: int) -> None:
    """A map of calls that take less than a microsecond."""
    for _ in square.map(range(calls), ordered=False):
        pass


def submit_short(calls: int) -> None:
    """Calls submitted one by one."""
    for future in [square(x).submit() for x in range(calls // 10)]:
        future.result()


def graph_short(calls: int) -> None:
    """A graph of short calls, each of which needs another one, and one that needs them all."""
    add_up([square(square(x)) for x in range(calls // 60)]).compute()


def one_by_one(calls: int) -> None:
    """Round trips: each call is a message, and the next one waits for it."""
    for x in range(calls // 800):
        square(x).compute()


def sleepers(calls: int) -> None:
    """Calls of ten milliseconds, on all processes."""
    for _ in nap.map([0.01] * (calls // 1500)):
        pass


WORK: dict[str, Callable[[int], None]] = {
    "map of short calls": map_short,
    "submit of short calls": submit_short,
    "graph of short calls": graph_short,
    "one call after the other": one_by_one,
    "map of calls of 10 ms": sleepers,
}


@contextmanager
def _watcher(url: str) -> Iterator[tuple[Callable[[str], None], psutil.Process]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    words, answers = process.stdin, process.stdout

    def tell(word: str) -> None:
        words.write(f"{word}\n")
        if word == "rest":
            answers.readline()
        time.sleep(SETTLE)

    try:
        yield tell, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()
        words.close()
        answers.close()


def measured(calls: int, rounds: int) -> tuple[Figures, float]:
    """Run each kind of work in turns, not watched and watched.

    Args:
        calls: Number of short calls in a map; the other kinds have fewer.
        rounds: Number of pairs.

    Returns:
        The figures, and the share of a core that the watcher took.
    """
    figures: Figures = {name: ([], []) for name in WORK}
    looking = looked = 0.0
    with LocalCluster(workers=2) as cluster, _watcher(cluster.broker_url) as (tell, watcher):
        for run in WORK.values():
            run(calls)  # Sizes of messages are learnt.
        for number in range(rounds):
            # The second of a pair would otherwise always run later.
            for is_watched in (False, True) if number % 2 == 0 else (True, False):
                tell("watch" if is_watched else "rest")
                began, own = time.perf_counter(), _seconds(watcher)
                for name, run in [*WORK.items()] * REPEATS:
                    before = _cpu_time(but=watcher.pid)
                    run(calls)
                    figures[name][is_watched].append(_cpu_time(but=watcher.pid) - before)
                if is_watched:
                    looking += time.perf_counter() - began
                    looked += _seconds(watcher) - own
                    tell("rest")
    return figures, looked / looking


def _cpu_time(but: int) -> float:
    """Return the CPU time of this process and of what it has started, but for one process."""
    here = psutil.Process()
    running = [here, *(each for each in here.children(recursive=True) if each.pid != but)]
    return sum(map(_seconds, running))


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def ratio(unwatched: list[float], watched: list[float]) -> float:
    """Return the median watched, divided by that not watched; not a number for too little work."""
    return median(watched) / median(unwatched) if median(unwatched) else nan
