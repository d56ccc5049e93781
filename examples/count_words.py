"""Count the words of all Python files below a folder, on all cores of this machine.

    python examples/count_words.py            # the source files of the Python standard library
    python examples/count_words.py FOLDER

Prints the most frequent words and the longest lines, how long it took, and how long the same work
takes without the library. Nothing has to be set up: the cluster that runs the calls is started by
the first of them.
"""

import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from distribute_challenge import compute_this

WORD = re.compile(r"[a-z]+")

FILES = 50  # In one call: adding up their words on the worker leaves less to send home.
LINES = 5  # Longest lines to show.

Counts = tuple[
    Counter[str], list[tuple[int, str]]
]  # Words, and the longest lines: how long, and where.


@compute_this()
def count(paths: list[Path]) -> Counts:
    """Count some files. This is what runs on the workers."""
    words: Counter[str] = Counter()
    lines = []
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        words.update(WORD.findall(text.lower()))
        lengths = [len(line) for line in text.split("\n")]
        longest = max(lengths)
        lines.append((longest, f"{path}:{lengths.index(longest) + 1}"))
    return words, sorted(lines, reverse=True)[:LINES]


def summary(results: Iterable[Counts]) -> Counts:
    """Add up what the calls counted."""
    words: Counter[str] = Counter()
    lines: list[tuple[int, str]] = []
    for some_words, some_lines in results:
        words.update(some_words)
        lines += some_lines
    return words, sorted(lines, reverse=True)[:LINES]


folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib"))
files = sorted(
    path for path in folder.rglob("*.py") if path.is_file() and "site-packages" not in path.parts
)
if not files:
    sys.exit(f"no Python files below {folder}")

groups = [files[first : first + FILES] for first in range(0, len(files), FILES)]

start = time.perf_counter()
count([]).compute()  # The first call starts the cluster.
start_seconds = time.perf_counter() - start

start = time.perf_counter()
words, lines = summary(count.map(groups, progress=True))
seconds = time.perf_counter() - start

start = time.perf_counter()
plain_words, plain_lines = summary(map(count.local, groups))
plain_seconds = time.perf_counter() - start

print(f"\n{len(files)} files below {folder}\n")
print(f"{'word':<24}{'times':>10}")
for word, times in words.most_common(10):
    print(f"{word:<24}{times:>10,}")
print(f"\n{'longest lines':<24}{'characters':>10}")
for length, place in lines:
    print(f"{Path(place).name:<24}{length:>10,}")

print(f"\nstarting the cluster {start_seconds:6.2f} s")
print(f"on the cluster       {seconds:6.2f} s")
print(f"without the library  {plain_seconds:6.2f} s")
if (words, lines) != (plain_words, plain_lines):
    sys.exit("the two results differ")
print("both agree")
