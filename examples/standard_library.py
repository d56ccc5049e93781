"""Count what stands in all files of the standard library, as one graph of calls, and draw it.

    python examples/standard_library.py                    # the Python standard library
    python examples/standard_library.py FOLDER PICTURE     # other files, another picture

Each call gets the futures of the calls before it, and runs when their values are there:

    parse(file) ─┬─ statistics(module) ─┬─ totals ─── report
    parse(file) ─┘                      │               │
    parse(file) ─── statistics(module) ─┴───────────────┘

The picture, `standard_library.svg`, shows each call of this graph as a dot, and below it when it ran,
and in which process. Open it in a browser.
"""

import ast
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from distribute_challenge import Future, compute_this

# --- what runs on the workers; each argument may also be the future of its value


@compute_this()
def parse(path: Path) -> Counter[str]:
    """Parse one file, and count what stands in it."""
    source = path.read_bytes()
    found = Counter(files=1, lines=source.count(b"\n"))
    try:
        with warnings.catch_warnings(action="ignore"):
            nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):  # Some files of the test suite are wrong on purpose.
        found["unreadable"] = 1
        return found
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found["functions"] += 1
            found["documented"] += ast.get_docstring(node) is not None
        elif isinstance(node, ast.ClassDef):
            found["classes"] += 1
        elif isinstance(node, ast.Import):
            found.update(f"import {name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found[f"import {node.module}"] += 1
    return found


@compute_this()
def statistics(files: list[Any]) -> Counter[str]:
    """Add up the files of one module."""
    return sum(files, Counter())


@compute_this()
def totals(modules: list[Any]) -> Counter[str]:
    """Add up all modules."""
    return sum(modules, Counter())


@compute_this()
def report(modules: dict[str, Any], total: Any) -> str:
    """Write the numbers as text."""
    largest = sorted(modules.items(), key=lambda item: -item[1]["lines"])[:10]
    text = (
        f"{'module':<22}{'files':>8}{'lines':>11}{'classes':>9}{'functions':>11}{'documented':>12}"
    )
    for module, found in [*largest, ("all", total)]:
        documented = found["documented"] / max(found["functions"], 1)
        text += (
            f"\n{module:<22}{found['files']:>8,}{found['lines']:>11,}{found['classes']:>9,}"
            f"{found['functions']:>11,}{documented:>12.0%}"
        )
    text += f"\n\n{'imported most often':<22}{'times':>8}"
    imports = Counter({name: total[name] for name in total if name.startswith("import ")})
    for name, times in imports.most_common(5):
        text += f"\n{name.removeprefix('import '):<22}{times:>8,}"
    return f"{text}\n\nfiles that could not be parsed: {total['unreadable']}"


# --- the picture

COLOURS = {"parse": "#56B4E9", "statistics": "#E69F00", "totals": "#009E73", "report": "#D55E00"}
COLUMNS = {"parse": 60, "statistics": 560, "totals": 860, "report": 1100}  # Pixels from the left.
WIDTH, TOP, GRAPH, ROW, LEFT = 1160, 50, 640, 40, 150  # Pixels.


@dataclass
class Dot:
    """A call in the picture of the graph: where it is, and which calls it needs."""

    future: Future[Any]
    title: str
    y: float
    needs: list["Dot"] = field(default_factory=list)

    def shape(self, kind: str, **attributes: object) -> str:
        """Return a shape in the colour of the call's function, which shows the title."""
        places = " ".join(f'{name}="{value}"' for name, value in attributes.items())
        colour = COLOURS[self.future.name]
        return f'<{kind} {places} fill="{colour}"><title>{escape(self.title)}</title></{kind}>'


def place(number: int, count: int) -> float:
    """Return the height of one of several calls below each other."""
    return TOP + (GRAPH - TOP) * (number + 0.5) / count


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def graph(dots: list[Dot]) -> Iterator[str]:
    """Draw each call as a dot, with lines from the calls that it needs."""
    lines = "".join(
        f"M{COLUMNS[need.future.name]} {need.y:.1f}L{COLUMNS[dot.future.name]} {dot.y:.1f}"
        for dot in dots
        for need in dot.needs
    )
    yield f'<path d="{lines}" stroke="#ccc" stroke-width="0.4"/>'
    for name, x in COLUMNS.items():
        yield text(x, TOP - 20, name, "middle")
    for dot in dots:
        x, radius = COLUMNS[dot.future.name], 1.5 + len(dot.needs) ** 0.5 / 4
        yield dot.shape("circle", cx=x, cy=f"{dot.y:.1f}", r=f"{radius:.1f}")
        if dot.future.name == "statistics" and len(dot.needs) > len(dots) / 20:
            yield text(x + 10, dot.y + 4, dot.title)


def timeline(dots: list[Dot]) -> Iterator[str]:
    """Draw when each call ran, in a row for each process."""
    times = [(dot, time) for dot in dots if (time := dot.future.timeline) is not None]
    workers = sorted({time.worker for _, time in times})
    start = min(time.started for _, time in times)
    seconds = max(time.finished for _, time in times) - start
    scale = (WIDTH - 2 * COLUMNS["parse"] - LEFT) / seconds
    for dot, time in times:
        yield dot.shape(
            "rect",
            x=f"{LEFT + (time.started - start) * scale:.2f}",
            y=GRAPH + ROW * (workers.index(time.worker) + 1),
            width=f"{max((time.finished - time.started) * scale, 0.2):.2f}",
            height=ROW - 8,
        )
    for row, worker in enumerate(workers, start=1):
        yield text(20, GRAPH + ROW * row + 20, f"process {worker.rpartition('/')[2]}")
    bottom = GRAPH + ROW * (len(workers) + 1) + 15
    yield text(LEFT, bottom, "0 s")
    yield text(LEFT + seconds * scale, bottom, f"{seconds:.2f} s", "end")


def svg(shapes: Iterable[str], height: int) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
            ' font-family="sans-serif" font-size="14">',
            '<rect width="100%" height="100%" fill="white"/>',
            *shapes,
            "</svg>\n",
        ]
    )


# --- the program


def module_of(path: Path) -> str:
    return path.relative_to(folder).parts[0].removesuffix(".py")


folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib"))
picture = Path(sys.argv[2] if len(sys.argv) > 2 else "standard_library.svg")
files = sorted(
    path for path in folder.rglob("*.py") if path.is_file() and "site-packages" not in path.parts
)
if not files:
    sys.exit(f"no Python files below {folder}")
modules: dict[str, list[Path]] = {}
for path in files:
    modules.setdefault(module_of(path), []).append(path)

# The graph. Nothing waits here: a call that needs others runs when they have ended.
parsed = {path: parse(path).submit() for path in files}
counted = {
    module: statistics([parsed[path] for path in paths]).submit()
    for module, paths in modules.items()
}
total = totals(list(counted.values())).submit()
written = report(counted, total).submit()

print(written.result())

# All calls have ended, as the last one needs them all.
first = {
    path: Dot(parsed[path], str(path.relative_to(folder)), place(number, len(files)))
    for number, path in enumerate(path for paths in modules.values() for path in paths)
}
second = [
    Dot(future, module, place(number, len(modules)), [first[path] for path in modules[module]])
    for number, (module, future) in enumerate(counted.items())
]
third = Dot(total, "totals", place(0, 1), second)
dots = [*first.values(), *second, third, Dot(written, "report", place(0, 1), [*second, third])]
processes = {dot.future.timeline.worker for dot in dots if dot.future.timeline is not None}
height = GRAPH + ROW * (len(processes) + 2)
picture.write_text(svg([*graph(dots), *timeline(dots)], height), encoding="utf-8")
print(f"\n{len(dots):,} calls in {len(processes)} processes; the picture: {picture}")
