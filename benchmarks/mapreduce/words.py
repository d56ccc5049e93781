"""Counts the words of the machine's own text, on several systems.

The text is the sources and documents of the standard library and of installed packages, folder by
folder in the order of their names, and from the beginning again until there is enough. It lies in
files of 1 MB, which are read once before. Words are what `str.split` gives. Each system ends with
all words and their counts in a dictionary of the client.

The workers have been started, and have run one call.
"""

import operator
import os
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path

from benchmarks.mapreduce.system import System, installed
from benchmarks.sessions.entry import OURS

__all__ = ["FILES", "FILE_BYTES", "SYSTEMS", "words"]

FILES = 100
FILE_BYTES = 1_000_000
KINDS = {".py", ".pyi", ".txt", ".rst", ".md", ".h"}
SHARES = 4  # Groups of files for each process of a pool: few, so that little is sent to be merged.


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
        seconds, counts = SYSTEMS[system](workers, paths)
    if sum(counts.values()) != right:
        raise AssertionError(f"{system} counted {sum(counts.values())} words, expected {right}")
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
    while True:
        for name in ("stdlib", "purelib"):
            for path in _texts_in(sysconfig.get_path(name)):
                text = path.read_text(encoding="utf-8", errors="ignore")
                for first in range(0, len(text), 100_000):
                    yield text[first : first + 100_000]


def _texts_in(root: str) -> Iterator[Path]:
    """Yield the files of text in a folder, and look into no folder before its turn."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(files) if Path(name).suffix in KINDS)


SYSTEMS: dict[str, System] = installed(
    {
        OURS: (_words_here, []),
        "multiprocessing.Pool": (_words_of_pool, []),
        "one process": (_words_of_one_process, []),
        "Ray tasks": (_words_of_ray, ["ray"]),
        "Dask bag": (_words_of_bag, ["dask", "distributed"]),
    }
)
