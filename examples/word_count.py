"""Count the words of all text files below a folder by map-reduce, on all cores of this machine.

    python examples/word_count.py                     # the sources of the Python standard library
    python examples/word_count.py FOLDER [PICTURE]    # PICTURE: a file for the chart, as SVG

Draws the most frequent words, and compares the time with `multiprocessing.Pool` and with one
process. Nothing has to be set up: the cluster that runs the calls is started by the first of them.
"""

import operator
import os
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable
from html import escape
from multiprocessing import Pool
from pathlib import Path

from distribute_challenge import map_reduce

WORD = re.compile(r"[^\W\d_]+")
KINDS = {".c", ".h", ".html", ".md", ".py", ".rst", ".txt"}

SHOWN = 20  # Words in the chart.
WIDTH, ROW, LABEL = 640, 22, 120  # Pixels.


def count(path: Path) -> Counter[str]:
    """Count the words of one file. This is what runs on the workers."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return Counter(WORD.findall(text.lower()))


def total(counts: Iterable[Counter[str]]) -> Counter[str]:
    """Add up the words of all files, as one process or a pool has to."""
    words: Counter[str] = Counter()
    for each in counts:
        words.update(each)
    return words


def text_chart(words: list[tuple[str, int]]) -> str:
    """Draw bars for a terminal."""
    most = words[0][1]
    return "\n".join(
        f"{word:>16} {times:>11,} {'█' * max(1, round(40 * times / most))}" for word, times in words
    )


def svg_chart(words: list[tuple[str, int]], title: str) -> str:
    """Draw bars as SVG."""
    most = words[0][1]
    size = f'width="{WIDTH}" height="{ROW * (len(words) + 2)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LABEL}" y="{ROW}" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (word, times) in enumerate(words, start=1):
        y, width = ROW * number + 12, (WIDTH - LABEL - 90) * times / most
        lines.append(
            f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(word)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{ROW - 5}" fill="#4878a8">'
            f"<title>{escape(word)}</title></rect>"
            f'<text x="{LABEL + width + 6:.1f}" y="{y + 13}">{times:,}</text>'
        )
    return "\n".join([*lines, "</svg>"])


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib"))
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else "word_count.svg")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in KINDS and path.is_file() and "site-packages" not in path.parts
    )
    if not files:
        sys.exit(f"no text files below {folder}")
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    start = time.perf_counter()
    dict(map_reduce(count, files[:1], fold=operator.add))  # The first call starts the cluster.
    start_seconds = time.perf_counter() - start

    start = time.perf_counter()
    words = Counter(dict(map_reduce(count, files, fold=operator.add, progress=True)))
    seconds = time.perf_counter() - start

    with Pool(processes) as pool:
        pool.map(count, files[:1])
        start = time.perf_counter()
        pool_words = total(pool.imap_unordered(count, files, chunksize=16))
        pool_seconds = time.perf_counter() - start

    start = time.perf_counter()
    plain_words = total(map(count, files))
    plain_seconds = time.perf_counter() - start

    size = sum(path.stat().st_size for path in files) / 1e6
    title = (
        f"{words.total():,} words, {len(words):,} different, in {len(files):,} files, {size:.1f} MB"
    )
    found = words.most_common(SHOWN)
    print(f"\n{title}\n")
    if found:
        print(text_chart(found))
        picture.write_text(svg_chart(found, title))
        print(f"\nthe chart is in {picture}")
    print(f"\nstarting the cluster  {start_seconds:6.2f} s")
    print(f"map_reduce            {seconds:6.2f} s")
    print(f"multiprocessing.Pool  {pool_seconds:6.2f} s")
    print(f"one process           {plain_seconds:6.2f} s")
    if not words == pool_words == plain_words:
        sys.exit("the results differ")
    print("all agree")


if __name__ == "__main__":
    main()
