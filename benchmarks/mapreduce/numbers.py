"""Sorts the numbers of files, on several systems.

The numbers are random, in files of NumPy, 8 MB each. Each system ends with one sorted array in the
client. `map_reduce` gets ranges of numbers as keys, which were chosen by a sample; this is part of
the time.

The workers have been started, and have sorted once.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mapreduce.system import System, installed
from benchmarks.sessions.entry import OURS

__all__ = ["FILES", "NUMBERS", "SYSTEMS", "sort"]

FILES = 10
NUMBERS = 1_000_000  # In a file.
SAMPLE = 1000  # Numbers of a file by which ranges are chosen.
SHARES = 8  # Ranges for each worker process.


def sort(system: str, workers: int, scale: float) -> float:
    """Return the seconds to sort the numbers of all files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(max(1, round(FILES * scale))):
            paths.append(Path(folder) / f"{number}.npy")
            np.save(paths[-1], np.random.default_rng(number).normal(size=NUMBERS))
        seconds, found = SYSTEMS[system](workers, paths)
        right = np.sort(np.concatenate([np.load(path) for path in paths]))
    if not np.array_equal(found, right):
        raise AssertionError(f"{system} has not sorted the numbers")
    return seconds


def _sorted_here(workers: int, paths: list[Path]) -> tuple[float, Any]:
    from distribute_challenge import map_reduce

    def ordered() -> Any:
        sample = np.concatenate([np.load(path, mmap_mode="r")[:SAMPLE] for path in paths])
        bounds = np.quantile(sample, np.linspace(0, 1, SHARES * workers + 1)[1:-1])

        def ranges(path: Path) -> Iterator[tuple[int, Any]]:
            numbers = np.sort(np.load(path))
            yield from enumerate(np.split(numbers, np.searchsorted(numbers, bounds)))

        pairs = map_reduce(ranges, paths, reducer=_merged, sort=True)
        return np.concatenate([numbers for _, numbers in pairs])

    ordered()
    began = time.perf_counter()
    found = ordered()
    return time.perf_counter() - began, found


def _merged(number: int, pieces: Iterator[Any]) -> Any:
    # A stable sort of NumPy merges what is sorted already.
    return np.sort(np.concatenate(list(pieces)), kind="stable")


def _sorted_in_one_process(workers: int, paths: list[Path]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = np.sort(np.concatenate([np.load(path) for path in paths]))
    return time.perf_counter() - began, found


def _sorted_by_dask(workers: int, paths: list[Path]) -> tuple[float, Any]:
    import dask.dataframe
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster):

        def ordered() -> Any:
            frame = dask.dataframe.from_map(_frame, paths)
            return frame.sort_values("number").compute().number.to_numpy()

        ordered()
        began = time.perf_counter()
        found = ordered()
        return time.perf_counter() - began, found


def _frame(path: Path) -> Any:
    import pandas

    return pandas.DataFrame({"number": np.load(path)})


SYSTEMS: dict[str, System] = installed(
    {
        OURS: (_sorted_here, []),
        "one process": (_sorted_in_one_process, []),
        "Dask dataframe": (_sorted_by_dask, ["dask", "distributed", "pandas", "pyarrow"]),
    }
)
