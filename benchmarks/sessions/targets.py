"""Compares a run with what was to be reached.

Each target has one or several conditions, and is reached if all of them hold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.markdown import markdown_table, number
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure, Run, ratio, summary, title

__all__ = [
    "HEADS",
    "Found",
    "Judged",
    "Question",
    "Target",
    "as_markdown",
    "held",
    "judged",
    "ours",
    "peers",
    "takes",
    "times",
]

NOTHING = "-"
HEADS = ("what", "to reach", "reached", "", "best peer")


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
        figure: The peers' figure to show beside it; None if they have none.
        why: Why it is not reached, shown if it is not; empty if that is not known.
    """

    what: str
    to_reach: str
    questions: tuple[Question, ...]
    figure: Figure | None = None
    why: str = ""


class Judged(NamedTuple):
    """What became of a target.

    Attributes:
        target: The target.
        reached: What was measured of its conditions.
        verdict: ``yes``, ``no``, or why there is none: not or not all was measured, or with less
            work than the target says.
        best_peers: Figures of the best peers.
    """

    target: Target
    reached: str
    verdict: str
    best_peers: str

    def cells(self) -> list[str]:
        """Return the cells of the table, as `HEADS` names them."""
        verdict = self.verdict
        if verdict == "no":
            verdict = f"**no**: {self.target.why}" if self.target.why else "**no**"
        return [self.target.what, self.target.to_reach, self.reached, verdict, self.best_peers]


def judged(
    run: Run, targets: Sequence[Target], no_peers: tuple[str, ...] = (OURS,)
) -> list[Judged]:
    """Look up each target in a run.

    Args:
        run: The run.
        targets: The targets, in order.
        no_peers: Beginnings of the names of entries that are no peers.
    """
    return [_judged(run, target, no_peers) for target in targets]


def as_markdown(run: Run, targets: Sequence[Target], no_peers: tuple[str, ...] = (OURS,)) -> str:
    """Return the table, with what was reached and the best peer.

    Args:
        run: The run.
        targets: The rows.
        no_peers: Beginnings of the names of entries that are no peers.
    """
    return markdown_table(HEADS, [each.cells() for each in judged(run, targets, no_peers)])


def _judged(run: Run, target: Target, no_peers: tuple[str, ...]) -> Judged:
    found = [question(run) for question in target.questions]
    measured = [each for each in found if each is not None]
    if not measured:
        verdict = "not measured"
    elif run["options"].get("small"):
        verdict = "little work"
    elif not all(each.met for each in measured):
        verdict = "no"
    else:
        verdict = "yes" if len(measured) == len(found) else "not all measured"
    return Judged(
        target,
        "; ".join(each.text for each in measured) or NOTHING,
        verdict,
        _best_peers(run, target.figure, no_peers) or NOTHING,
    )


# --- questions


def ours(
    figure: Figure,
    *,
    most: float | None = None,
    least: float | None = None,
    what: str = "",
    name: str = OURS,
) -> Question:
    """Make a question for the library's figure, in the figure's unit.

    Args:
        figure: The figure.
        most: Highest number with which the condition holds.
        least: Lowest number with which it holds.
        what: Words in front of the number.
        name: The library's entry.
    """

    def ask(run: Run) -> Found | None:
        found = summary(run["peers"][name], figure) if name in run["peers"] else None
        return None if found is None else held(found.median, figure.unit, most, least, what)

    return ask


def times(figure: Figure, peer: str, least: float) -> Question:
    """Make a question for how many times better the library is than a peer."""

    def ask(run: Run) -> Found | None:
        found = ratio(run, peer, figure)
        return (
            None if found is None else Found(f"×{number(found)} {title(run, peer)}", found >= least)
        )

    return ask


def takes(figure: Figure, peer: str, most: float) -> Question:
    """Make a question for the time that the library takes, as a share of a peer's.

    Args:
        figure: The figure, a time.
        peer: Name of the peer.
        most: Highest share with which the condition holds.
    """

    def ask(run: Run) -> Found | None:
        found = ratio(run, peer, figure)
        if found is None:
            return None
        return Found(f"{number(1 / found)} × {title(run, peer)}", 1 / found <= most)

    return ask


def held(value: float, unit: str, most: float | None, least: float | None, what: str = "") -> Found:
    """Return a number with its unit, and whether it is within the bounds."""
    met = (most is None or value <= most) and (least is None or value >= least)
    return Found(f"{f'{what} ' if what else ''}{number(value)} {unit}", met)


# --- the peers


def peers(run: Run, no_peers: tuple[str, ...], *, crossing: bool) -> Iterator[str]:
    """Yield the names of the peers whose facts are known.

    Args:
        run: The run.
        no_peers: Beginnings of the names of entries that are no peers.
        crossing: Whether to yield those that cross machines, or the others.
    """
    for name, record in run["peers"].items():
        is_peer = not name.startswith(no_peers)
        if is_peer and record["facts"] and record["facts"]["crosses_machines"] is crossing:
            yield name


def _best_peers(run: Run, figure: Figure | None, no_peers: tuple[str, ...]) -> str:
    """Name the best peer that crosses machines, and the best other one if that is better."""
    if figure is None:
        return ""
    best = [
        name
        for crossing in (True, False)
        if (name := _best(run, figure, peers(run, no_peers, crossing=crossing)))
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
    return f"{title(run, name)} {guessed}{number(found.median)} {figure.unit}{where}"
