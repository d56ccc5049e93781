"""Group the rows of a CSV file by a column and describe another, by map-reduce on all cores.

    python examples/group_csv.py                        # files of this Python: their sizes by suffix
    python examples/group_csv.py FILE GROUP NUMBER      # a file of your own, and two of its columns

Each call reads a part of the file into NumPy arrays and makes one small summary of each group in it.
Summaries of the same group are merged, whichever parts they come from. In the table that is printed,
the bars show how many numbers of the group have 1, 2, 3, ... digits. The result is compared with that
of one process that reads the file row by row. A row must be a line of the file.
"""

import csv
import itertools
import math
import os
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distribute_challenge import map_reduce

PART = 1_000_000  # Bytes of the file that a mapper reads.
DIGITS = 12  # Most digits that have a bar of their own.
SHOWN = 15  # Groups in the table.
BARS = " ▁▂▃▄▅▆▇█"


class Part(NamedTuple):
    """Lines of a file: those that begin in a range of its bytes."""

    path: Path
    start: int
    end: int
    group: int  # Number of the column to group by.
    number: int  # Number of the column with numbers.


@dataclass
class Summary:
    """What is known of the numbers of one group."""

    count: int
    total: float
    squares: float
    largest: float
    digits: np.ndarray  # How many numbers have so many digits.

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def deviation(self) -> float:
        return math.sqrt(max(self.squares / self.count - self.mean**2, 0.0))


def summaries(part: Part) -> Iterator[tuple[str, Summary]]:
    """Summarise each group of a part. This is what runs on the workers."""
    with open(part.path, "rb") as file:
        # A line that begins before the part belongs to the part before it.
        file.seek(part.start - 1)
        file.readline()
        if file.tell() >= part.end:
            return
        data = file.read(part.end - 1 - file.tell()) + file.readline()
    rows = list(csv.reader(data.decode().splitlines()))
    names, groups = np.unique([row[part.group] for row in rows], return_inverse=True)
    numbers = np.array([row[part.number] for row in rows], dtype=float)
    digits = np.clip(np.log10(np.maximum(np.abs(numbers), 1)).astype(int), 0, DIGITS - 1)
    counts = np.bincount(groups)
    totals = np.bincount(groups, numbers)
    squares = np.bincount(groups, numbers**2)
    largest = np.full(len(names), -np.inf)
    np.maximum.at(largest, groups, numbers)
    table = np.zeros((len(names), DIGITS), dtype=int)
    np.add.at(table, (groups, digits), 1)
    for place, name in enumerate(names):
        yield (
            str(name),
            Summary(
                int(counts[place]), totals[place], squares[place], largest[place], table[place]
            ),
        )


def merged(one: Summary, other: Summary) -> Summary:
    """Merge two summaries of a group. This runs on the workers, too."""
    return Summary(
        one.count + other.count,
        one.total + other.total,
        one.squares + other.squares,
        max(one.largest, other.largest),
        one.digits + other.digits,
    )


def parts(path: Path, group: str, number: str) -> list[Part]:
    """Divide a file behind its header."""
    with open(path, "rb") as file:
        header = next(csv.reader([file.readline().decode()]))
        first, size = file.tell(), os.fstat(file.fileno()).st_size
    if lacking := {group, number}.difference(header):
        sys.exit(f"{path} has no column {', '.join(sorted(lacking))}: it has {', '.join(header)}")
    limits = [*range(first, size, PART), size]
    columns = header.index(group), header.index(number)
    return [Part(path, *limit, *columns) for limit in itertools.pairwise(limits)]


def totals(path: Path, group: str, number: str) -> dict[str, tuple[int, float]]:
    """Do the same in one process, row by row, for the counts and totals."""
    found: dict[str, tuple[int, float]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            count, total = found.get(row[group], (0, 0.0))
            found[row[group]] = count + 1, total + float(row[number])
    return found


def write_files(path: Path) -> None:
    """Write a CSV file of all files of this Python and of its packages."""
    roots = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["suffix", "bytes", "path"])
        for root in sorted(roots):
            for folder, _, names in os.walk(root):
                for name in names:
                    size = os.lstat(os.path.join(folder, name)).st_size
                    where = os.path.relpath(os.path.join(folder, name), root)
                    writer.writerow([Path(name).suffix or "none", size, where])


def bars(counts: np.ndarray) -> str:
    """Draw one character for each number of digits."""
    heights = np.ceil(counts / counts.max() * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) == 4:
            path, group, number = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
        elif len(sys.argv) == 1:
            path, group, number = Path(folder) / "files.csv", "suffix", "bytes"
            write_files(path)
        else:
            sys.exit("expected no arguments, or FILE GROUP NUMBER")
        items = parts(path, group, number)
        start = time.perf_counter()
        found = dict(map_reduce(summaries, items, fold=merged, progress=True))
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        right = totals(path, group, number)
        plain_seconds = time.perf_counter() - start
        size = path.stat().st_size / 1e6

    count = sum(each.count for each in found.values())
    print(f"\n{count:,} rows, {size:.1f} MB, {len(found):,} values of {group}\n")
    print(f"{group:>14} {'rows':>9} {'total':>16} {'mean':>13} {'deviation':>13} {'largest':>13}")
    for name, each in sorted(found.items(), key=lambda item: -item[1].total)[:SHOWN]:
        print(
            f"{name:>14.14} {each.count:>9,} {each.total:>16,.0f} {each.mean:>13,.0f}"
            f" {each.deviation:>13,.0f} {each.largest:>13,.0f}  {bars(each.digits)}"
        )
    print(f"\nmap_reduce, with the start of the cluster  {seconds:6.2f} s")
    print(f"one process, counts and totals alone       {plain_seconds:6.2f} s")
    if {name: each.count for name, each in found.items()} != {
        name: count for name, (count, _) in right.items()
    } or not all(math.isclose(found[name].total, total) for name, (_, total) in right.items()):
        sys.exit("the results differ")
    print("both agree")


if __name__ == "__main__":
    main()
