"""Count the words of all Python files below a folder, on all cores of this machine.

    python examples/count_words.py            # the source files of the Python standard library
    python examples/count_words.py FOLDER

Prints the most frequent words and the longest lines, how long it took, and how long the same work takes without the
library. Nothing has to be set up: the cluster that runs the calls is started by the first of them.
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

Counts = tuple[Counter[str], int, str]  # Words, length of the longest line, where that line is.


@compute_this()
def count(path: Path) -> Counts:
    """Count one file. This is what runs on the workers."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lengths = [len(line) for line in text.split("\n")]
    longest = max(lengths)
    return Counter(WORD.findall(text.lower())), longest, f"{path}:{lengths.index(longest) + 1}"


def summary(results: Iterable[Counts]) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Add the counts of all files up: the words of all, and the five longest lines."""
    words: Counter[str] = Counter()
    lines = []
    for file_words, longest, place in results:
        words.update(file_words)
        lines.append((longest, place))
    return words, sorted(lines, reverse=True)[:5]


folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib"))
files = sorted(path for path in folder.rglob("*.py") if path.is_file() and "site-packages" not in path.parts)
if not files:
    sys.exit(f"no Python files below {folder}")

start = time.perf_counter()
words, lines = summary(count.map(files, progress=True))
seconds = time.perf_counter() - start

start = time.perf_counter()
plain_words, plain_lines = summary(map(count.local, files))
plain_seconds = time.perf_counter() - start

print(f"\n{len(files)} files below {folder}\n")
print(f"{'word':<24}{'times':>10}")
for word, times in words.most_common(10):
    print(f"{word:<24}{times:>10,}")
print(f"\n{'longest lines':<24}{'characters':>10}")
for length, place in lines:
    print(f"{Path(place).name:<24}{length:>10,}")

print(f"\non the cluster       {seconds:6.2f} s, starting it included")
print(f"without the library  {plain_seconds:6.2f} s")
if (words, lines) != (plain_words, plain_lines):
    sys.exit("the two results differ")
print("both agree")
