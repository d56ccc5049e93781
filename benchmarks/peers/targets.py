"""Compares a run with the library's targets: the table of docs/benchmarks.md.

Each target has one or several conditions, and is reached if all of them hold. Figures of the peers
come from the run's rounds. Figures that only make sense for the library itself come from
`benchmarks.self`, which the same run measures.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.markdown import markdown_table, number
from benchmarks.peers.catalogue import FLOOR, OURS
from benchmarks.peers.results import FIGURES, Figure, Run, ratio, summary, title
from benchmarks.self.results import Results

__all__ = ["OWN_MEASUREMENTS", "TARGETS", "Found", "Target", "as_markdown"]

OWN_MEASUREMENTS = ("consumed", "shared_array", "uneven", "many_workers")
"""Of `benchmarks.self`: what a run needs beside the peers."""

OVER_TCP = "distribute_challenge_tcp"
NOTHING = "-"

_COLUMNS = {figure.key: figure for figure in FIGURES}


@dataclass(frozen=True)
class Found:
    """What a run says about one condition of a target; ``met`` if the condition holds."""

    text: str
    met: bool


Question = Callable[[Run], Found | None]
"""Looks something up in a run; None if it was not measured."""


@dataclass(frozen=True)
class Target:
    """One target: a row of the table.

    Attributes:
        what: What is measured.
        to_reach: The conditions in words.
        questions: The conditions as code.
        column: Key of the peers' figure to show beside it; empty if they have none.
    """

    what: str
    to_reach: str
    questions: tuple[Question, ...]
    column: str = ""


def as_markdown(run: Run) -> str:
    """Return the table, with what was reached and the best peer."""
    rows = []
    for target in TARGETS:
        found = [question(run) for question in target.questions]
        measured = [each for each in found if each is not None]
        if len(measured) < len(found):
            verdict = "not all measured" if measured else "not measured"
        else:
            verdict = "yes" if all(each.met for each in measured) else "**no**"
        reached = "; ".join(each.text for each in measured) or NOTHING
        rows.append(
            [
                target.what,
                target.to_reach,
                reached,
                verdict,
                _best_peers(run, target.column) or NOTHING,
            ]
        )
    return markdown_table(["what", "to reach", "reached", "", "best peer"], rows)


# --- questions


def _ours(key: str, *, most: float | None = None, least: float | None = None) -> Question:
    """Make a question for the library's figure in the peers' table, in the column's unit."""
    column = _COLUMNS[key]

    def ask(run: Run) -> Found | None:
        found = summary(run["peers"][OURS], column) if OURS in run["peers"] else None
        return None if found is None else _held(found.median, _unit(column), most, least)

    return ask


def _own(
    name: str, *, most: float | None = None, least: float | None = None, what: str = ""
) -> Question:
    """Make a question for a figure of `benchmarks.self`, in its unit."""

    def ask(run: Run) -> Found | None:
        series = Results.from_json(run["self"]).series.get(name) if "self" in run else None
        return (
            None if series is None else _held(series.median, series.figure.unit, most, least, what)
        )

    return ask


def _times(key: str, peer: str, least: float) -> Question:
    """Make a question for how many times better the library is than a peer."""

    def ask(run: Run) -> Found | None:
        times = ratio(run, peer, _COLUMNS[key])
        return (
            None if times is None else Found(f"×{number(times)} {title(run, peer)}", times >= least)
        )

    return ask


def _ahead_across_machines(run: Run) -> Found | None:
    """Find out whether a round trip is shorter than with every peer that crosses machines."""
    times = [ratio(run, name, _COLUMNS["round_trip_p50"]) for name in _peers(run, crossing=True)]
    known = [each for each in times if each is not None]
    return (
        Found(f"×{number(min(known))} the next that crosses machines", min(known) > 1)
        if known
        else None
    )


def _beside_bare_redis(run: Run) -> Found | None:
    """Compare the cost of a payload through Redis over TCP with the cost of its bytes alone."""
    ours, bare = (
        summary(run["peers"][name], _COLUMNS["payload"]) if name in run["peers"] else None
        for name in (OVER_TCP, FLOOR)
    )
    if ours is None or bare is None:
        return None
    times = ours.median / bare.median
    return Found(f"×{number(times)} bare Redis over TCP", times <= 1.2)


def _held(
    value: float, unit: str, most: float | None, least: float | None, what: str = ""
) -> Found:
    met = (most is None or value <= most) and (least is None or value >= least)
    return Found(f"{f'{what} ' if what else ''}{number(value)} {unit}", met)


# --- the peers


def _best_peers(run: Run, column: str) -> str:
    """Name the best peer that crosses machines, and the best other one if that is better."""
    if not column:
        return ""
    figure = _COLUMNS[column]
    best = [
        name
        for crossing in (True, False)
        if (name := _best(run, figure, _peers(run, crossing=crossing)))
    ]
    if len(best) == 2 and not _is_better(run, figure, best[1], best[0]):
        best.pop()
    return "; ".join(_told(run, figure, name) for name in best)


def _best(run: Run, figure: Figure, names: Iterator[str]) -> str | None:
    best = None
    for name in names:
        if summary(run["peers"][name], figure) and (
            best is None or _is_better(run, figure, name, best)
        ):
            best = name
    return best


def _is_better(run: Run, figure: Figure, name: str, other: str) -> bool:
    this, that = summary(run["peers"][name], figure), summary(run["peers"][other], figure)
    assert this is not None
    assert that is not None
    return this.median > that.median if figure.more_is_better else this.median < that.median


def _told(run: Run, figure: Figure, name: str) -> str:
    found = summary(run["peers"][name], figure)
    assert found is not None
    guessed = "~" if found.extrapolated else ""
    where = "" if run["peers"][name]["facts"]["crosses_machines"] else " (one machine only)"
    return f"{title(run, name)} {guessed}{number(found.median)} {_unit(figure)}{where}"


def _peers(run: Run, *, crossing: bool) -> Iterator[str]:
    """Yield the names of the peers whose facts are known, without the library and the floor."""
    for name, record in run["peers"].items():
        ours = name.startswith((OURS, FLOOR))
        if not ours and record["facts"] and record["facts"]["crosses_machines"] is crossing:
            yield name


def _unit(figure: Figure) -> str:
    return figure.heading.rpartition(", ")[2]


TARGETS = (
    Target(
        "one call, round trip p50",
        "at most 1.0 ms, and below every peer that crosses machines",
        (_ours("round_trip_p50", most=1.0), _ahead_across_machines),
        "round_trip_p50",
    ),
    Target(
        "`submit` one by one and gather, no-op",
        "100,000 calls/s; at least 8 × ProcessPool and 100 × plain Celery",
        (
            _ours("submit_and_gather", least=100_000),
            _times("submit_and_gather", "process_pool", 8),
            _times("submit_and_gather", "celery", 100),
        ),
        "submit_and_gather",
    ),
    Target(
        "`map`, no-op",
        "1,000,000 calls/s; at least 4 × joblib",
        (_ours("map", least=1_000_000), _times("map", "joblib", 4)),
        "map",
    ),
    Target(
        "a million no-op calls by `map`, results consumed as they come",
        "2 s, client memory growth under 50 MB",
        (_own("consumed_seconds", most=2.0), _own("consumed_memory_client", most=50.0)),
    ),
    Target(
        "32 MB array there and back, `x + 1` on the worker",
        "60 ms embedded; through Redis at most 1.2 × bare Redis",
        (_ours("payload", most=60.0), _beside_bare_redis),
        "payload",
    ),
    Target(
        "the same 50 MB array as argument of 200 calls",
        "at most 60 MB to Redis, under 5 ms after the first call, one copy per worker",
        (
            _own("shared_redis", most=60.0, what="Redis"),
            _own("shared_later", most=5.0, what="a call"),
            _own("shared_memory", most=60.0, what="each worker"),
        ),
        "shared_payload",
    ),
    Target(
        "script start to first result, nothing configured",
        "0.6 s",
        (_ours("start", most=0.6),),
        "start",
    ),
    Target("`import distribute_challenge`", "0.06 s", (_ours("import", most=0.06),), "import"),
    Target(
        "one call of 10 s and 40 of 0.1 s on 8 slots",
        "ends within 10.5 s",
        (
            _own("uneven_map", most=10.5, what="`map`"),
            _own("uneven_submit", most=10.5, what="`submit`"),
        ),
    ),
    Target(
        "64 workers, 10,000 calls that sleep 0.1 s",
        "at least 95 % of ideal throughput",
        (
            _own("many_workers_map", least=95.0, what="`map`"),
            _own("many_workers_submit", least=95.0, what="`submit`"),
        ),
    ),
)
