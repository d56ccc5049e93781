"""Writes a run as Markdown: the table, the texts of errors, and the set-up of each system."""

from collections.abc import Sequence
from typing import Any

from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.systems import SYSTEMS
from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table, number

__all__ = ["as_markdown"]

NOTHING = "-"
LONGEST_TEXT = 250  # Characters of an error.
HEADS = (
    "fault",
    "system",
    "values",
    "errors",
    "no outcome",
    "begun more than once",
    "last value, s",
    "remarks",
)

Row = dict[str, Any]


def as_markdown(run: dict[str, Any]) -> str:
    """Return everything as Markdown.

    Args:
        run: The run as it is written to JSON: ``machine``, ``options``, ``rows``.
    """
    options, rows = run["options"], run["rows"]
    explained = (
        f"Outcomes are waited for until {options['patience']:g} s after the fault; seconds are "
        f"from the fault to the last value. "
        "No outcome: lost if no worker ever began the call, and else hung."
    )
    parts = [
        in_a_line(run["machine"]),
        explained,
        markdown_table(HEADS, [_cells(row) for row in rows]),
        *_texts(rows),
        "How each was set up:",
        markdown_table(
            ["system", "versions", "set up"], [_set_up(rows, name) for name in _names(rows)]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> list[str]:
    named = [FAULTS[row["fault"]].title, SYSTEMS[row["system"]].title]
    if "found" not in row:
        reason = row["absent"] if "absent" in row else f"failed: {row['failed']}"
        return [*named, *[NOTHING] * 5, _safe(reason)]
    found = row["found"]
    return [
        *named,
        f"{found['values']} of {found['calls']}",
        _counts(found["errors"] | ({"wrong value": found["wrong"]} if found["wrong"] else {})),
        _counts({kind: found[kind] for kind in ("lost", "hung") if found[kind]}),
        _repeated(found),
        NOTHING if found["seconds"] is None else number(found["seconds"]),
        _safe("; ".join(found["remarks"])) or NOTHING,
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or NOTHING


def _repeated(found: Row) -> str:
    if not found["repeated"]:
        return NOTHING
    return f"{found['repeated']}" + (f", up to {found['most']} times" if found["most"] > 2 else "")


def _texts(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"- {SYSTEMS[row['system']].title}, {row['fault']}: `{kind}`: {_short(text)}"
        for row in rows
        for kind, text in row.get("found", {}).get("texts", {}).items()
    ]
    return ["What the errors said, the first of each kind:", "\n".join(lines)] if lines else []


def _set_up(rows: Sequence[Row], name: str) -> list[str]:
    versions: dict[str, str] = next(
        (row["versions"] for row in rows if row["system"] == name and "versions" in row), {}
    )
    told = ", ".join(f"{package} {version}" for package, version in versions.items())
    return [SYSTEMS[name].title, told or NOTHING, SYSTEMS[name].setting_up]


def _names(rows: Sequence[Row]) -> list[str]:
    return [name for name in SYSTEMS if any(row["system"] == name for row in rows)]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return _safe(line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}…")


def _safe(text: str) -> str:
    return text.replace("|", "\\|")
