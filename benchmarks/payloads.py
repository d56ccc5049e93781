"""Measures what large values cost, and from which size on the store pays.

A value goes to a worker and back, and one value goes to many calls.

    python benchmarks/payloads.py

The program runs on an embedded cluster, whose workers share memory with this process, and on a
worker that cannot, so that all values go through a Redis server over TCP. It prints Markdown tables
and a description of the machine. Memory is read from ``/proc``.
"""

import os
import platform
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import numpy
import redis

from distribute_challenge import LocalCluster, compute_this, put
from distribute_challenge.cluster.redis_server import server_program
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.serialisation import parcels

MEGABYTE = 1_000_000
THERE_AND_BACK = 32 * MEGABYTE
SHARED = 50 * MEGABYTE
CALLS = 200
ROUNDS = 15
SIZES = [4_000, 16_000, 32_000, 64_000, 128_000, 256_000, 1_000_000, 4_000_000]
TRIES = 60  # Round trips for each size and each way: in the message and in the store, in turn.

FLOOR = """
import sys, redis
connection = redis.Redis(port=int(sys.argv[1]))
while True:
    connection.blpop(["go"])
    connection.rpush("replies", connection.get("value"))
"""

WORKER = """
import sys
from distribute_challenge.execution_backends.celery.worker.main import run_worker
run_worker(sys.argv[1], concurrency=1, loglevel="WARNING")
"""


_made = {}


@compute_this()
def exchange(x):
    """Take an array and return another one, made once, so that only the transfer takes time."""
    if "result" not in _made:
        _made["result"] = numpy.ones_like(x)
    return _made["result"]


@compute_this()
def first(x, _number):
    """Read one number of an array."""
    return float(x[0])


@compute_this()
def private_memory():
    """Return the worker process's id and the bytes of memory that it shares with no other.

    Sleeps first, so that each worker process gets a call.
    """
    time.sleep(0.05)
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return os.getpid(), sum(
        int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_")
    )


@contextmanager
def redis_server() -> Iterator[int]:
    """Run a Redis server while the block runs.

    Yields:
        Its port.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [server_program(), "--port", str(port), "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                redis.Redis(port=port).ping()
                break
            except redis.ConnectionError:
                time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def program(source: str, *arguments: str, **variables: str) -> Iterator[None]:
    """Run a Python program in a process of its own while the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", source, *arguments], env={**os.environ, **variables}
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def milliseconds(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median time of an action over several rounds, after two to warm up."""
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1000)
    return median(times[2:])


def bare_redis(port: int) -> float:
    """Return the milliseconds that the same bytes take through bare Redis.

    This process sends SET, another one GET and RPUSH, and this one BLPOP.
    """
    connection, data = redis.Redis(port=port), os.urandom(THERE_AND_BACK)

    def round_trip() -> None:
        connection.set("value", data)
        connection.rpush("go", b"")
        assert len(connection.blpop(["replies"])[1]) == len(data)

    with program(FLOOR, str(port)):
        taken = milliseconds(round_trip)
    connection.flushall()
    return taken


def there_and_back(backend: CeleryExecutionBackend) -> float:
    """Return the milliseconds of a call that takes and returns an array, a new one each time."""
    array = numpy.random.default_rng(0).random(THERE_AND_BACK // 8)

    def round_trip() -> None:
        array[0] += 1
        assert exchange(array).compute(backend)[0] == 1

    return milliseconds(round_trip)


def many_calls(backend: CeleryExecutionBackend, connection: redis.Redis, shared: bool) -> list[str]:
    """Measure calls with the same array, one after the other, and return cells of a table.

    Returns:
        What went to Redis, the median time of a call after the first, and the memory that a worker
        process gained.
    """
    array = numpy.random.default_rng(1 + shared).random(SHARED // 8)
    before = dict(private_memory().submit(backend).result() for _ in range(8))
    received = connection.info()["total_net_input_bytes"]
    argument = put(array, backend) if shared else array
    times = []
    for number in range(CALLS):
        began = time.perf_counter()
        first(argument, number).compute(backend)
        times.append((time.perf_counter() - began) * 1000)
    received = connection.info()["total_net_input_bytes"] - received
    after = dict(future.result() for future in [private_memory().submit(backend) for _ in range(8)])
    grown = max(after[pid] - before.get(pid, after[pid]) for pid in after)
    return [
        f"{received / MEGABYTE:.1f} MB",
        f"{median(times[1:]):.2f} ms",
        f"{max(grown, 0) / MEGABYTE:.0f} MB",
    ]


def threshold(backend: CeleryExecutionBackend) -> Iterator[tuple[int, float, float]]:
    """Yield each size with the milliseconds of a round trip, in the message and in the store."""
    defaults = parcels.LARGE_BUFFER, parcels.LARGE_STREAM
    parcels.LARGE_STREAM = 1 << 40
    for size in SIZES:
        array = numpy.random.default_rng(2).integers(0, 256, size, dtype="u1")
        times: dict[int, list[float]] = {1 << 40: [], 1: []}
        for number in range(TRIES):
            for parcels.LARGE_BUFFER, taken in times.items():
                array[:8] = numpy.frombuffer((2 * number).to_bytes(8, "big"), dtype="u1")
                began = time.perf_counter()
                first(array, 0).compute(backend)
                taken.append((time.perf_counter() - began) * 1000)
        yield size, *(median(taken[3:]) for taken in times.values())
    parcels.LARGE_BUFFER, parcels.LARGE_STREAM = defaults


def row(*cells: object) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    """Measure and print."""
    os.environ.setdefault("DISTRIBUTE_CHALLENGE_SECRET", secrets.token_hex(32))
    print(
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}\n"
    )
    with ExitStack() as stack:
        port = stack.enter_context(redis_server())
        floor = bare_redis(port)
        url, own = f"redis://127.0.0.1:{port}", stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(program(WORKER, url, DISTRIBUTE_CHALLENGE_SHARED_FOLDER=own))
        far = stack.enter_context(CeleryExecutionBackend(url))
        near = stack.enter_context(LocalCluster(2))
        private_memory().compute(far)
        while far._connected()._counts._workers == []:
            time.sleep(0.1)

        row(f"{THERE_AND_BACK // MEGABYTE} MB there and back", "ms")
        row("---", "---")
        row("shared memory", f"{there_and_back(near.backend):.0f}")
        row("Redis, TCP", f"{there_and_back(far):.0f}")
        row("bare Redis, TCP: SET, GET, RPUSH, BLPOP", f"{floor:.0f}")

        print()
        row(
            f"{SHARED // MEGABYTE} MB to {CALLS} calls",
            "went to Redis",
            "a call after the first",
            "memory of a worker",
        )
        row("---", "---", "---", "---")
        servers = {"shared memory": (near.backend, near.broker_url), "Redis, TCP": (far, url)}
        for name, (backend, address) in servers.items():
            connection = redis.Redis.from_url(address.replace("redis+socket", "unix"))
            row(f"{name}, the array itself", *many_calls(backend, connection, False))
            row(f"{name}, `put`", *many_calls(backend, connection, True))

        for name, (backend, _) in servers.items():
            print()
            row(f"{name}: size of an argument", "in the message, ms", "in the store, ms")
            row("---", "---", "---")
            for size, inline, stored in threshold(backend):
                row(f"{size / 1000:,.0f} kB", f"{inline:.2f}", f"{stored:.2f}")


if __name__ == "__main__":
    main()
