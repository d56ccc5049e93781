"""The cells of tables: a figure of a system as text, or why there is none."""

from collections.abc import Iterator

from benchmarks.markdown import markdown_table, number
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure, Run, Summary, ratio, summary, title

__all__ = ["NOTHING", "configurations", "factor", "failures", "full", "reasons", "short"]

NOTHING = "-"


def short(run: Run, name: str, figure: Figure) -> str:
    """Return the median, and in brackets how many times better the library is."""
    found = _found(run, name, figure)
    if isinstance(found, str):
        return found
    times = ratio(run, name, figure) if name != OURS else None
    return (
        ("~" if found.extrapolated else "")
        + number(found.median)
        + (f" ({factor(times)})" if times else "")
    )


def full(run: Run, name: str, figure: Figure) -> str:
    """Return the median with its spread."""
    found = _found(run, name, figure)
    if isinstance(found, str):
        return found
    spread = (
        f" ({number(found.lowest)} to {number(found.highest)})"
        if found.lowest != found.highest
        else ""
    )
    return ("~" if found.extrapolated else "") + number(found.median) + spread


def factor(value: float | None) -> str:
    """Return how many times better the library is, as text."""
    return NOTHING if value is None else f"×{number(value)}"


def reasons(run: Run, name: str) -> Iterator[str]:
    """Yield what a system does not offer, and what failed and why."""
    for what, why in run["peers"][name]["absent"].items():
        yield f"{title(run, name)}, {what}: {why}"
    yield from failures(run, name)


def failures(run: Run, name: str) -> Iterator[str]:
    """Yield what failed on a system, and why."""
    for what, why in run["peers"][name]["errors"].items():
        yield f"{title(run, name)}, {what} FAILED: {why}"


def configurations(run: Run) -> str:
    """Return a table with the versions and the configuration of each system that told them."""
    told = [record["facts"] for record in run["peers"].values() if record["facts"]]
    return markdown_table(
        ["peer", "versions", "configuration", "after"],
        [
            [
                facts["title"],
                ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
                or "standard library",
                facts["configuration"],
                facts["documentation"],
            ]
            for facts in told
        ],
    )


def _found(run: Run, name: str, figure: Figure) -> Summary | str:
    """Return the figure, or why there is none."""
    record = run["peers"][name]
    found = summary(record, figure)
    if found is not None:
        return found
    failed = "start" in record["errors"] or figure.measurement in record["errors"]
    return "failed" if failed else NOTHING
