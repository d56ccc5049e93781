"""What is measured, and how.

- ``batches``, ``single``: this process puts items of 100 bytes, and another one takes them and
  acknowledges them, both at the same time. It is measured from the first item that is put to the
  last one that is taken. The other process has been started before, and has imported what it needs.
- ``consumed``: consumers call a function that does nothing with each item. It is measured from the
  first item that is put to the last one that is acknowledged.
- ``latency``: from `put` to the first line of the function, and the same for a call by `compute`.
- ``waiting``: the processor time of all processes of a cluster while its consumers wait for items,
  as a share of the time.
"""

import multiprocessing
import time
from importlib.util import find_spec
from statistics import median
from typing import Any

from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement

__all__ = ["IDLE", "MEASUREMENTS"]

IDLE = "no consumers"  # The same cluster, with nothing to wait for.

ITEMS = 200_000
SINGLE_ITEMS = 5_000
AT_ONCE = 1000  # Items of one `put_many`, and at most of one `get_many`.
ITEM = b"x" * 100
CONSUMED_ITEMS = 1_000_000
LATENCIES = 500
WAITING = 50  # Consumers, each in a process of its own.
SETTLES = 60.0  # Seconds for all of them to begin to wait; a busy machine takes long to start them.
ONE_SETTLES = 5.0  # Seconds for the first of them.
MEASURED = 20.0  # Seconds of waiting.

_spawning = multiprocessing.get_context("spawn")


def in_batches(system: str, workers: int, scale: float) -> float:
    """Return the seconds for items that are put and taken many at once, as far as it goes."""
    items = max(AT_ONCE, round(ITEMS * scale) // AT_ONCE * AT_ONCE)
    return _standard(items) if system == "multiprocessing.Queue" else _ours(items, AT_ONCE)


def one_by_one(system: str, workers: int, scale: float) -> float:
    """Return the seconds for items that are put, taken and acknowledged one by one."""
    items = max(1, round(SINGLE_ITEMS * scale))
    if system == "distributed.Queue":
        return _distributed(items)
    return _standard(items) if system == "multiprocessing.Queue" else _ours(items, 1)


def consumed(system: str, workers: int, scale: float) -> float:
    """Return the seconds for items that are put, given to a function and acknowledged."""
    from distribute_challenge import LocalCluster, Queue, compute_this

    items = max(AT_ONCE, round(CONSUMED_ITEMS * scale) // AT_ONCE * AT_ONCE)
    with LocalCluster(workers=workers):
        queue: Queue[None] = Queue()
        with compute_this(_nothing).consume(queue) as consumers:
            queue.put_many([None] * AT_ONCE)  # The workers load the function.
            consumers.join()
            began = time.perf_counter()
            for _ in range(items // AT_ONCE):
                queue.put_many([None] * AT_ONCE)
            consumers.join()
            return time.perf_counter() - began


def latency(system: str, workers: int, scale: float) -> float:
    """Return the seconds of one way out, from the client to the function: a median."""
    from distribute_challenge import LocalCluster, Queue, compute_this

    times = max(5, round(LATENCIES * scale))
    found = []
    with LocalCluster(workers=1):
        function = compute_this(_when)  # It returns the time at which it began.
        if system == "compute":
            function(0).compute()
            for number in range(times):
                sent = time.time()
                found.append(function(number).compute() - sent)
        else:
            queue: Queue[int] = Queue()
            began: Queue[float] = Queue(ack="early")
            with function.consume(queue, results=began):
                queue.put(0)
                began.get()
                for number in range(times):
                    sent = time.time()
                    queue.put(number)
                    found.append(began.get() - sent)
    return median(found)


def waiting(system: str, workers: int, scale: float) -> float:
    """Return the share of a core that a cluster takes while it has nothing to do."""
    import psutil

    from distribute_challenge import Consumers, LocalCluster, Queue

    count = max(1, round(WAITING * scale))
    with LocalCluster(workers=count):
        queue: Queue[None] = Queue()
        own = psutil.Process()

        def used() -> float:
            processes = [own, *own.children(recursive=True)]
            return sum(sum(process.cpu_times()[:2]) for process in processes)

        # One of each process, so that all have begun.
        consumers: Consumers[None] | None = None
        if system == OURS:
            consumers = Consumers(queue, _nothing, count)
        time.sleep(min(SETTLES, ONE_SETTLES + SETTLES * scale))
        before = used()
        time.sleep(MEASURED)
        share = (used() - before) / MEASURED
        if consumers is not None:
            consumers.stop()
        return share


def _nothing(item: Any) -> None:
    """Do nothing."""


def _when(item: int) -> float:
    return time.time()


def _distributed(items: int) -> float:
    from distributed import Client
    from distributed import Queue as DistributedQueue

    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        numbers = DistributedQueue("benchmark")
        address = client.scheduler.address
        return _measured(_take_distributed, (address, items), lambda: _put_standard(numbers, items))


def _take_distributed(ready: Any, ended: Any, address: str, items: int) -> None:
    from distributed import Client
    from distributed import Queue as DistributedQueue

    with Client(address):
        numbers = DistributedQueue("benchmark")
        numbers.qsize()
        _take_standard(ready, ended, numbers, items)


def _standard(items: int) -> float:
    numbers: Any = _spawning.Queue()
    return _measured(_take_standard, (numbers, items), lambda: _put_standard(numbers, items))


def _ours(items: int, at_once: int) -> float:
    from distribute_challenge import LocalCluster, Queue

    with LocalCluster(workers=1) as cluster:
        numbers: Queue[bytes] = Queue("benchmark")
        return _measured(
            _take_ours,
            (cluster.broker_url, items, at_once),
            lambda: _put_ours(numbers, items, at_once),
        )


def _measured(take: Any, arguments: Any, put: Any) -> float:
    """Return the seconds from the first item that is put to the last one that is taken."""
    ready, ended = _spawning.Event(), _spawning.Event()
    process = _spawning.Process(target=take, args=(ready, ended, *arguments))
    process.start()
    ready.wait()
    began = time.perf_counter()
    put()
    ended.wait()
    seconds = time.perf_counter() - began
    process.join()
    return seconds


def _put_standard(numbers: Any, items: int) -> None:
    for _ in range(items):
        numbers.put(ITEM)


def _take_standard(ready: Any, ended: Any, numbers: Any, items: int) -> None:
    ready.set()
    for _ in range(items):
        numbers.get()
    ended.set()


def _put_ours(numbers: Any, items: int, at_once: int) -> None:
    for _ in range(items // at_once):
        if at_once == 1:
            numbers.put(ITEM)
        else:
            numbers.put_many([ITEM] * at_once)


def _take_ours(ready: Any, ended: Any, url: str, items: int, at_once: int) -> None:
    from distribute_challenge import Queue
    from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

    with CeleryExecutionBackend(url) as backend:
        numbers: Queue[bytes] = Queue("benchmark", backend=backend)
        numbers.qsize()
        ready.set()
        while items:
            taken = len(numbers.get_many(at_once))
            numbers.task_done(taken)
            items -= taken
        ended.set()


_BOTH = (OURS, "multiprocessing.Queue")
MEASUREMENTS = (
    Measurement(
        Figure(
            "batches",
            "batches",
            f"{ITEMS:,} items of 100 bytes, `put_many` and `get_many` of {AT_ONCE:,}, s",
        ),
        in_batches,
        _BOTH,
    ),
    Measurement(
        Figure("single", "single", f"{SINGLE_ITEMS:,} items of 100 bytes, one by one, s"),
        one_by_one,
        (*_BOTH, *(["distributed.Queue"] if find_spec("distributed") else [])),
    ),
    Measurement(
        Figure(
            "consumed",
            "consumed",
            f"{CONSUMED_ITEMS:,} items to an empty function, by consumers, s",
        ),
        consumed,
        (OURS,),
    ),
    Measurement(
        Figure("latency", "latency", "from the client to the function, ms", 1000),
        latency,
        (OURS, "compute"),
    ),
    Measurement(
        Figure(
            "waiting",
            "waiting",
            f"processor time of {WAITING} waiting consumers and their cluster, % of a core",
            100,
            is_compared=False,
        ),
        waiting,
        (OURS, IDLE),
    ),
)
