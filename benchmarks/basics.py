"""The figures of the README: start, round trip, many futures, one long map, and the memory they take.

    python benchmarks/basics.py [WORKERS]

Runs on an embedded cluster and prints a Markdown table, with the machine it ran on. Memory is read from ``/proc``.
"""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from distribute_challenge import LocalCluster, compute_this

WORKERS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
ROUND_TRIPS = 2_000
FUTURES = 100_000
ITEMS = 1_000_000
STARTS = 5

FIRST_RESULT = """
import time
from distribute_challenge import compute_this

@compute_this()
def square(x):
    return x * x

assert square(2).compute() == 4
print(time.time())
"""


@compute_this()
def same(x):
    """Do nothing."""
    return x


@compute_this()
def process():
    """Tell which process ran the call, late enough that each gets some."""
    time.sleep(0.05)
    return os.getpid()


def megabytes(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def first_result() -> float:
    """Seconds from the start of a script's interpreter to its first result, cluster included."""
    began = time.time()
    done = subprocess.run([sys.executable, "-c", FIRST_RESULT], capture_output=True, text=True, check=True)
    return float(done.stdout) - began


@contextmanager
def row(what: str) -> Iterator[list[str]]:
    """Print a row of the table; the block fills in the figure."""
    figure: list[str] = []
    yield figure
    print(f"| {what} | {figure[0]} |", flush=True)


machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
print(f"{WORKERS} worker processes, {machine}\n")
print("| what | figure |\n| --- | --- |")

with row("start of a script to its first result, nothing configured, median of 5") as figure:
    figure.append(f"{median(first_result() for _ in range(STARTS)):.2f} s")

with LocalCluster(WORKERS) as cluster:
    pids = {future.result() for future in [process().submit() for _ in range(20)]}

    with row("`compute()` of a call that does nothing, median and 99th percentile") as figure:
        times = []
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            same(1).compute()
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        figure.append(f"{median(times):.2f} ms, {times[len(times) * 99 // 100]:.2f} ms")

    with row(f"{FUTURES:,} `submit()` and all their results") as figure:
        began = time.perf_counter()
        futures = [same(number).submit() for number in range(FUTURES)]
        assert sum(future.result() for future in futures) == sum(range(FUTURES))
        seconds = time.perf_counter() - began
        figure.append(f"{seconds:.2f} s, {FUTURES / seconds:,.0f} calls per second")
        del futures

    with row(f"`map` over {ITEMS:,} items") as figure:
        client, workers = megabytes(os.getpid()), [megabytes(pid) for pid in pids]
        began = time.perf_counter()
        assert sum(same.map(range(ITEMS))) == sum(range(ITEMS))
        seconds = time.perf_counter() - began
        figure.append(f"{seconds:.2f} s, {ITEMS / seconds:,.0f} calls per second")

    with row("memory that this map added: client, largest worker process") as figure:
        grown = max(megabytes(pid) - before for pid, before in zip(pids, workers, strict=True))
        figure.append(f"{megabytes(os.getpid()) - client:.0f} MB, {grown:.0f} MB")

    with row("memory after it: client, largest worker process") as figure:
        figure.append(f"{megabytes(os.getpid()):.0f} MB, {max(map(megabytes, pids)):.0f} MB")
