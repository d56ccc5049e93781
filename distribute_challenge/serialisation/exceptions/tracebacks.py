"""Tracebacks as flat rows of text and numbers, and back.

A row holds what `traceback` prints of a frame, and where the frame's code begins. It holds no
variables. The rows become a real traceback again, with the lines of source and the columns of the
original. The client has the user's own source. It may have no source of an installed package, or
not at the same path, so the lines of such a package travel in the row.
"""

import linecache
import os
import sys
from collections import deque
from functools import lru_cache
from itertools import islice, starmap
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, NamedTuple

__all__ = ["MOST_FRAMES", "Row", "rows_of", "text_of_rows", "traceback_of"]

# Of the source of one frame; a guess: of a longer expression, Python shows only both ends.
MOST_LINES = 5
MOST_SOURCE = 2000  # Characters of these lines.
MOST_FRAMES = 1000  # That travel of one traceback; Python prints no more than this, either.


class Row(NamedTuple):
    """One frame of a traceback.

    Args:
        filename: ``co_filename`` of its code.
        name: ``co_name`` of its code.
        qualname: ``co_qualname`` of its code.
        module: ``__name__`` of its globals.
        file: ``__file__`` of its globals.
        first_line: The line where its code begins.
        line: The line that was being executed.
        end_line: The line where the executed expression ends; None if that is not known.
        column: The column where the expression begins; None if that is not known.
        end_column: The column where the expression ends; None if that is not known.
        source: The lines from ``line`` to ``end_line``, of an installed package; empty for other
            files.
    """

    filename: str
    name: str
    qualname: str
    module: str | None
    file: str | None
    first_line: int
    line: int
    end_line: int | None = None
    column: int | None = None
    end_column: int | None = None
    source: str = ""


def rows_of(traceback: TracebackType | None, most: int = MOST_FRAMES) -> list[tuple[Any, ...]]:
    """Return a traceback as rows: bare tuples, which can be unpickled without this module.

    Args:
        traceback: The traceback; None has no rows.
        most: How many frames to keep, from both ends. One row replaces the others and says how many
            they were.
    """
    first: list[TracebackType] = []
    while traceback is not None and len(first) < most // 2:
        first.append(traceback)
        traceback = traceback.tb_next
    last: deque[TracebackType] = deque(maxlen=most - len(first))
    others = 0
    while traceback is not None:
        others += len(last) == last.maxlen
        last.append(traceback)
        traceback = traceback.tb_next
    rows = [_row(entry) for entry in first]
    if others:
        rows.append(tuple(Row(f"<{others:,} more frames>", "...", "...", None, None, 1, 1)))
    return rows + [_row(entry) for entry in last]


def traceback_of(rows: list[tuple[Any, ...]]) -> TracebackType | None:
    """Make the traceback that rows describe."""
    made: TracebackType | None = None
    frames: dict[tuple[Any, ...], FrameType] = {}  # A recursion has the same row many times.
    for entry in reversed(rows):
        frame = frames.get(entry)
        if frame is None:
            row = Row(*entry)
            if row.source:
                _show(row)
            frame = frames[entry] = _frame(row)
        made = TracebackType(made, frame, 0, entry[_LINE])
    return made


def text_of_rows(rows: list[tuple[Any, ...]]) -> str:
    """Return rows as `traceback` prints them, with the source that this process has."""
    import traceback  # Needed only for exceptions that cannot be rebuilt.

    for row in starmap(Row, rows):
        if row.source:
            _show(row)
    summary = traceback.StackSummary.from_list(
        [(row.filename, row.line, row.name, None) for row in starmap(Row, rows)]
    )
    return "".join(["Traceback (most recent call last):\n", *summary.format()]) if rows else ""


def _row(entry: TracebackType) -> tuple[Any, ...]:
    code, names = entry.tb_frame.f_code, entry.tb_frame.f_globals
    line, end_line, column, end_column = next(
        islice(code.co_positions(), entry.tb_lasti // 2, None), (None,) * 4
    )
    if line != entry.tb_lineno:
        end_line = column = end_column = None
    source = ""
    if code.co_filename.startswith(_INSTALLED):
        lines = linecache.getlines(code.co_filename)[
            entry.tb_lineno - 1 : end_line or entry.tb_lineno
        ]
        source = "".join(lines[:MOST_LINES])[:MOST_SOURCE]
    return (
        code.co_filename,
        code.co_name,
        code.co_qualname,
        _text(names.get("__name__")),
        _text(names.get("__file__")),
        code.co_firstlineno,
        # None for an instruction that the compiler has added.
        entry.tb_lineno or code.co_firstlineno,
        end_line,
        column,
        end_column,
        source,
    )


def _show(row: Row) -> None:
    """Give `linecache` the source of a row whose file does not exist on this machine.

    Every tool that prints tracebacks reads `linecache`.
    """
    shown = _shown.get(row.filename)
    if shown is None:
        if row.filename in linecache.cache or os.path.exists(row.filename):
            return
        shown = _shown[row.filename] = []
    lines = [f"{line}\n" for line in row.source.splitlines()]
    begin, end = row.line - 1, row.line - 1 + len(lines)
    shown.extend(["\n"] * (end - len(shown)))
    shown[begin:end] = lines
    # Without a time of modification, `linecache` does not check the file for changes.
    linecache.cache[row.filename] = (sum(map(len, shown)), None, shown, row.filename)


def _text(name: object) -> str | None:
    return name if type(name) is str else None


_INSTALLED = tuple({sys.prefix + os.sep, sys.base_prefix + os.sep})
_shown: dict[
    str, list[str]
] = {}  # The lines of each file, as far as they are known; the others are empty.
_LINE = Row._fields.index("line")
_CODE: CodeType = (lambda: (yield)).__code__  # The code of a generator function.
_UNITS = len(_CODE.co_code) // 2


def _frame(row: Row) -> FrameType:
    """Make a frame that never runs: the frame of a generator that has not begun.

    It has no caller, and keeps no other object alive.
    """
    generator: Any = FunctionType(_code(row), _globals(row))()
    frame: FrameType = generator.gi_frame
    return frame


@lru_cache(MOST_FRAMES)
def _code(row: Row) -> CodeType:
    """Make code with the names and places of a row; cached, since failing calls often repeat."""
    return _CODE.replace(
        co_filename=row.filename,
        co_name=row.name,
        co_qualname=row.qualname,
        co_firstlineno=row.first_line,
        co_linetable=_line_table(row),
    )


def _globals(row: Row) -> dict[str, Any]:
    return {
        name: value
        for name, value in (("__name__", row.module), ("__file__", row.file))
        if value is not None
    }


def _line_table(row: Row) -> bytes:
    """Make a line table that puts every instruction at the row's place.

    CPython's ``Objects/locations.md`` describes the format.
    """
    table = bytearray()
    step = row.line - row.first_line
    for done in range(0, _UNITS, 8):
        units = min(8, _UNITS - done)
        if (
            row.column is None
            or row.end_column is None
            or row.end_line is None
            or row.end_line < row.line
        ):
            table.append(0x80 | 13 << 3 | units - 1)
            table += _signed(step)
        else:
            table.append(0x80 | 14 << 3 | units - 1)
            table += _signed(step)
            table += (
                _unsigned(row.end_line - row.line)
                + _unsigned(row.column + 1)
                + _unsigned(row.end_column + 1)
            )
        step = 0
    return bytes(table)


def _signed(number: int) -> bytes:
    return _unsigned(-number << 1 | 1 if number < 0 else number << 1)


def _unsigned(number: int) -> bytes:
    parts = bytearray()
    while number >= 64:
        parts.append(0x40 | number & 0x3F)
        number >>= 6
    parts.append(number)
    return bytes(parts)
