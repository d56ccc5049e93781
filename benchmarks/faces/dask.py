"""Dask's collections on this library, beside Dask's own schedulers.

The workers have been started and have imported what they need. ``--scale`` multiplies the number of
elements of the array, and of rows of the dataframe.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import sqrt
from typing import Any

from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement

__all__ = ["MEASUREMENTS"]

SIDE = 8000  # Of the square array.
CHUNK = 1000
ROWS = 10_000_000
PARTITIONS = 20
GROUPS = 1000
SYSTEMS = (OURS, "Dask's threads", "Dask's LocalCluster")


def dot(system: str, workers: int, scale: float) -> float:
    """Return the seconds of a product of two random arrays, summed up."""
    import dask.array as da

    side = max(1, round(SIDE * sqrt(scale)))

    def made(side: int) -> Any:
        array = da.random.default_rng(0).random((side, side), chunks=min(side, CHUNK))
        return array.dot(array.T).sum()

    return _measured(system, workers, lambda: made(side), lambda: made(min(side, CHUNK)))


def group_by(system: str, workers: int, scale: float) -> float:
    """Return the seconds of the mean of a column by another, with the making of the rows."""
    rows = max(PARTITIONS, round(ROWS * scale))

    def made(rows: int) -> Any:
        import dask.dataframe as dd

        sizes = [rows // PARTITIONS] * PARTITIONS
        frame = dd.from_map(part, range(PARTITIONS), sizes)
        return frame.groupby("key").value.mean()

    return _measured(system, workers, lambda: made(rows), lambda: made(PARTITIONS * 10))


def part(seed: int, rows: int) -> Any:
    """Return a partition of the dataframe."""
    import numpy
    import pandas

    generator = numpy.random.default_rng(seed)
    return pandas.DataFrame(
        {"key": generator.integers(0, GROUPS, rows), "value": generator.random(rows)}
    )


def _measured(
    system: str, workers: int, make: Callable[[], Any], make_small: Callable[[], Any]
) -> float:
    with _compute(system, workers) as compute:
        compute(make_small())
        work = make()
        began = time.perf_counter()
        compute(work)
        return time.perf_counter() - began


@contextmanager
def _compute(system: str, workers: int) -> Iterator[Callable[[Any], Any]]:
    """Give a function that computes a collection on a system."""
    if system == "Dask's LocalCluster":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            yield lambda work: client.compute(work).result()
    elif system == "Dask's threads":
        yield lambda work: work.compute(scheduler="threads", num_workers=workers)
    else:
        from distribute_challenge.dask import get

        yield lambda work: work.compute(scheduler=get)


MEASUREMENTS = (
    Measurement(Figure("dot", "dot", f"`x.dot(x.T).sum()`, {SIDE} × {SIDE}, s"), dot, SYSTEMS),
    Measurement(
        Figure("group_by", "group_by", f"`groupby().mean()`, {ROWS:,} rows, s"), group_by, SYSTEMS
    ),
)
