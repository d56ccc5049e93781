"""``python -m benchmarks.mapreduce``: `map_reduce` beside `multiprocessing.Pool`, Ray and Dask.

    pip install -e ".[dask]" --group peers pandas pyarrow
    python -m benchmarks.mapreduce --workers 2
    python -m benchmarks.mapreduce --only words --scale 10     # 1 GB

- ``words``: the text is that of the machine, the sources and documents of the standard library and
  of installed packages, in the order of their paths, and from the beginning again until there is
  enough. It lies in files of 1 MB, which are read once before. Words are what `str.split` gives. Each
  system ends with all words and their counts in a dictionary of the client.
- ``sort``: random numbers in files of NumPy, 8 MB each. Each system ends with one sorted array in the
  client. `map_reduce` gets ranges of numbers as keys, which were chosen by a sample; this is part of
  the time.

The workers have been started, and have run one call. What is not installed is left out.
"""

import operator
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faces.side_by_side import Measurement, SideBySide

__all__ = ["main"]

FILES = 100
FILE_BYTES = 1_000_000
KINDS = {".py", ".pyi", ".txt", ".rst", ".md", ".h"}
SHARES = 4  # Groups of files for each process of a pool: few, so that little is sent to be merged.
NUMBER_FILES = 10
NUMBERS = 1_000_000  # In a file.
SAMPLE = 1000  # Numbers of a file by which ranges are chosen.

System = Callable[[int, list[Path]], tuple[float, Any]]


def count(path: Path) -> Counter[str]:
    """Return the words of a file, and how often each is there."""
    return Counter(path.read_text().split())


def count_all(paths: Sequence[Path]) -> Counter[str]:
    """Return the words of several files, as one call of a pool."""
    counts: Counter[str] = Counter()
    for path in paths:
        counts.update(path.read_text().split())
    return counts


def words(system: str, workers: int, scale: float) -> float:
    """Return the seconds to count the words of all files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = _files(Path(folder), max(1, round(FILES * scale)))
        right = sum(len(path.read_text().split()) for path in paths)
        seconds, counts = WORDS[system](workers, paths)
    if sum(counts.values()) != right:
        raise SystemExit(f"{system} counted {sum(counts.values())} words, expected {right}")
    return seconds


def _words_here(workers: int, paths: list[Path]) -> tuple[float, dict[str, int]]:
    from distribute_challenge import map_reduce

    dict(map_reduce(count, paths[: 2 * workers], fold=operator.add))  # All processes get some.
    began = time.perf_counter()
    counts = dict(map_reduce(count, paths, fold=operator.add))
    return time.perf_counter() - began, counts


def _words_of_one_process(workers: int, paths: list[Path]) -> tuple[float, dict[str, int]]:
    began = time.perf_counter()
    counts = count_all(paths)
    return time.perf_counter() - began, counts


def _words_of_pool(workers: int, paths: list[Path]) -> tuple[float, dict[str, int]]:
    with Pool(workers) as pool:
        pool.map(count_all, [[]])
        began = time.perf_counter()
        total: Counter[str] = Counter()
        for some in pool.imap_unordered(count_all, _groups(workers, paths)):
            total.update(some)
        return time.perf_counter() - began, total


def _words_of_ray(workers: int, paths: list[Path]) -> tuple[float, dict[str, int]]:
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    task = ray.remote(count_all)
    ray.get([task.remote([]) for _ in range(workers)])
    began = time.perf_counter()
    total: Counter[str] = Counter()
    left = [task.remote(group) for group in _groups(workers, paths)]
    while left:
        done, left = ray.wait(left)
        total.update(ray.get(done[0]))
    return time.perf_counter() - began, total


def _words_of_bag(workers: int, paths: list[Path]) -> tuple[float, dict[str, int]]:
    import dask.bag
    import distributed

    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster):
        bag = dask.bag.from_sequence(paths, npartitions=SHARES * workers)
        dask.bag.from_sequence(range(workers)).frequencies().compute()
        began = time.perf_counter()
        counts = dict(bag.map(_split).flatten().frequencies().compute())
        return time.perf_counter() - began, counts


def _split(path: Path) -> list[str]:
    return path.read_text().split()


def _groups(workers: int, paths: list[Path]) -> list[list[Path]]:
    return [paths[first :: SHARES * workers] for first in range(SHARES * workers)]


def sort(system: str, workers: int, scale: float) -> float:
    """Return the seconds to sort the numbers of all files."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(max(1, round(NUMBER_FILES * scale))):
            paths.append(Path(folder) / f"{number}.npy")
            np.save(paths[-1], np.random.default_rng(number).normal(size=NUMBERS))
        seconds, found = SORTS[system](workers, paths)
        right = np.sort(np.concatenate([np.load(path) for path in paths]))
    if not np.array_equal(found, right):
        raise SystemExit(f"{system} has not sorted the numbers")
    return seconds


def _sorted_here(workers: int, paths: list[Path]) -> tuple[float, Any]:
    from distribute_challenge import map_reduce

    def ordered() -> Any:
        sample = np.concatenate([np.load(path, mmap_mode="r")[:SAMPLE] for path in paths])
        bounds = np.quantile(sample, np.linspace(0, 1, 2 * SHARES * workers + 1)[1:-1])

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


def _files(folder: Path, number: int) -> list[Path]:
    """Write so many files of text, and return their paths."""
    pieces = _pieces()
    paths = []
    for each in range(number):
        path = folder / f"{each}.txt"
        text, size = [], 0
        while size < FILE_BYTES:
            piece = next(pieces)
            text.append(piece)
            size += len(piece)
        path.write_text("".join(text))
        paths.append(path)
    return paths


def _pieces() -> Iterator[str]:
    """Yield text in pieces of some lines, for ever."""
    roots = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    found = sorted({path for root in roots for path in root.rglob("*") if path.suffix in KINDS})
    while True:
        for path in found:
            text = path.read_text(encoding="utf-8", errors="ignore")
            for first in range(0, len(text), 100_000):
                yield text[first : first + 100_000]


def _installed(systems: dict[str, tuple[System, Sequence[str]]]) -> dict[str, System]:
    """Return those whose packages are installed."""
    return {
        name: system for name, (system, needed) in systems.items() if all(map(find_spec, needed))
    }


WORDS = _installed(
    {
        "distribute_challenge": (_words_here, []),
        "multiprocessing.Pool": (_words_of_pool, []),
        "one process": (_words_of_one_process, []),
        "Ray tasks": (_words_of_ray, ["ray"]),
        "Dask bag": (_words_of_bag, ["dask", "distributed"]),
    }
)
SORTS = _installed(
    {
        "distribute_challenge": (_sorted_here, []),
        "one process": (_sorted_in_one_process, []),
        "Dask dataframe": (_sorted_by_dask, ["dask", "distributed", "pandas", "pyarrow"]),
    }
)
MEASUREMENTS = {
    "words": Measurement(
        f"words of {FILES * FILE_BYTES // 1_000_000} MB of text", words, list(WORDS)
    ),
    "sort": Measurement(f"{NUMBER_FILES * NUMBERS:,} numbers, sorted", sort, list(SORTS)),
}
main = SideBySide("benchmarks.mapreduce", MEASUREMENTS).command(
    "Measure map_reduce, beside multiprocessing.Pool, Ray and Dask."
)

if __name__ == "__main__":
    main()
