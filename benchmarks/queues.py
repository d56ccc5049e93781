"""``python -m benchmarks.queues``: `Queue` beside `multiprocessing.Queue`.

    python -m benchmarks.queues

This process puts items of 100 bytes, and another one takes them and acknowledges them, both at the
same time. It is measured from the first item that is put to the last one that is taken. The other
process has been started before, and has imported what it needs.
"""

import multiprocessing
import time
from typing import Any

from benchmarks.faces.side_by_side import Measurement, SideBySide

__all__ = ["main"]

ITEMS = 200_000
SINGLE_ITEMS = 5_000
AT_ONCE = 1000  # Items of one `put_many`, and at most of one `get_many`.
ITEM = b"x" * 100

_spawning = multiprocessing.get_context("spawn")


def in_batches(system: str, workers: int, scale: float) -> float:
    """Return the seconds for items that are put and taken many at once, as far as it goes."""
    items = max(AT_ONCE, round(ITEMS * scale) // AT_ONCE * AT_ONCE)
    if system == "multiprocessing.Queue":
        return _standard(items)
    return _ours(items, AT_ONCE)


def one_by_one(system: str, workers: int, scale: float) -> float:
    """Return the seconds for items that are put, taken and acknowledged one by one."""
    items = max(1, round(SINGLE_ITEMS * scale))
    return _standard(items) if system == "multiprocessing.Queue" else _ours(items, 1)


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


SYSTEMS = ["distribute_challenge", "multiprocessing.Queue"]
MEASUREMENTS = {
    "batches": Measurement(
        f"{ITEMS:,} items of 100 bytes, `put_many` and `get_many` of {AT_ONCE:,}",
        in_batches,
        SYSTEMS,
    ),
    "single": Measurement(f"{SINGLE_ITEMS:,} items of 100 bytes, one by one", one_by_one, SYSTEMS),
}
main = SideBySide("benchmarks.queues", MEASUREMENTS).command(
    "Measure Queue, beside multiprocessing's."
)

if __name__ == "__main__":
    main()
