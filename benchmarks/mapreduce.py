"""``python -m benchmarks.mapreduce``: `map_reduce` beside one process and `multiprocessing.Pool`.

    python -m benchmarks.mapreduce --workers 2
    python -m benchmarks.mapreduce --only words --scale 10     # 1 GB

The text is that of the machine: the sources and documents of the standard library and of installed
packages, in the order of their paths, and from the beginning again until there is enough. It lies in
files of 1 MB, which are read once before. Words are what `str.split` gives. Each system ends with
all words and their counts in a dictionary of the client. The workers have been started, and have run
one call.
"""

import operator
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import Pool
from pathlib import Path

from benchmarks.faces.side_by_side import Measurement, SideBySide

__all__ = ["main"]

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
        seconds, counts = _counted(system, workers, paths)
    if sum(counts.values()) != right:
        raise SystemExit(f"{system} counted {sum(counts.values())} words, expected {right}")
    return seconds


def _counted(system: str, workers: int, paths: list[Path]) -> tuple[float, dict[str, int]]:
    if system == "one process":
        began = time.perf_counter()
        counts: dict[str, int] = count_all(paths)
        return time.perf_counter() - began, counts
    if system == "multiprocessing.Pool":
        groups = [paths[first :: SHARES * workers] for first in range(SHARES * workers)]
        with Pool(workers) as pool:
            pool.map(count_all, [[]])
            began = time.perf_counter()
            total: Counter[str] = Counter()
            for some in pool.imap_unordered(count_all, groups):
                total.update(some)
            return time.perf_counter() - began, total
    from distribute_challenge import map_reduce

    dict(map_reduce(count, paths[:1], fold=operator.add))
    began = time.perf_counter()
    counts = dict(map_reduce(count, paths, fold=operator.add))
    return time.perf_counter() - began, counts


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


MEASUREMENTS = {
    "words": Measurement(
        f"words of {FILES * FILE_BYTES // 1_000_000} MB of text",
        words,
        ["distribute_challenge", "multiprocessing.Pool", "one process"],
    )
}
main = SideBySide("benchmarks.mapreduce", MEASUREMENTS).command(
    "Measure map_reduce, beside one process and multiprocessing.Pool."
)

if __name__ == "__main__":
    main()
