"""Tracebacks as rows, and back."""

import json
import linecache
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest

from distribute_challenge.serialisation.exceptions.tracebacks import (
    rows_of,
    text_of_rows,
    traceback_of,
)


def raised(function: Callable[[], Any]) -> TracebackType | None:
    with pytest.raises(ZeroDivisionError) as caught:
        function()
    return caught.value.__traceback__


def divide() -> Any:
    return [
        # A comment between the parts.
        1 / int("0")
    ]


def in_a_comprehension() -> Any:
    return [divide() for _ in range(2)]


def deep(depth: int) -> Any:
    return deep(depth - 1) if depth else 1 / depth


@pytest.mark.parametrize("function", [divide, in_a_comprehension, lambda: deep(5)])
def test_a_traceback_is_printed_like_the_original(function: Callable[[], Any]) -> None:
    """It has the lines of source, and the marks below them."""
    original = raised(function)
    made = traceback_of(rows_of(original))
    assert traceback.format_tb(made) == traceback.format_tb(original)
    assert traceback.format_list(traceback.extract_tb(made)) == traceback.format_list(
        traceback.extract_tb(original)
    )


def test_the_frames_of_a_restored_traceback_have_no_variables_and_no_caller() -> None:
    """They keep nothing alive, and begin where the function does."""
    made = traceback_of(rows_of(raised(divide)))
    assert made is not None
    assert made.tb_next is not None
    frame = made.tb_next.tb_next.tb_frame if made.tb_next.tb_next else made.tb_next.tb_frame
    assert frame.f_code.co_firstlineno == divide.__code__.co_firstlineno
    assert (frame.f_back, frame.f_locals) == (None, {})
    assert frame.f_globals == {"__name__": __name__, "__file__": __file__}


def test_a_frame_without_column_numbers_is_restored() -> None:
    """`python -X no_debug_ranges` and compilers of other languages give none."""
    row = (__file__, "name", "qualname", "module", None, 30, 7, None, None, None)
    made = traceback_of([row])
    assert [
        (entry.filename, entry.lineno, entry.name, entry.colno)
        for entry in traceback.extract_tb(made)
    ] == [(__file__, 7, "name", None)]


def test_only_the_line_number_of_a_synthetic_traceback_entry_is_kept() -> None:
    """A traceback may say another line than the code that it points to."""
    original = raised(divide)
    assert original is not None
    moved = TracebackType(None, original.tb_frame, original.tb_lasti, 3)
    assert rows_of(moved)[0][6:] == (3, None, None, None, "")


def test_a_deep_traceback_is_cut_in_the_middle_and_says_so() -> None:
    """Both ends are kept."""
    original = raised(lambda: deep(100))
    rows = rows_of(original, 10)
    whole = rows_of(original)
    assert rows[:5] == whole[:5]
    assert rows[6:] == whole[-5:]
    assert f'File "<{len(whole) - 10} more frames>", line 1, in ...' in "".join(
        traceback.format_tb(traceback_of(rows))
    )


def test_rows_are_formatted_like_a_traceback_of_python() -> None:
    """No rows are no text."""
    text = text_of_rows(rows_of(raised(divide)))
    assert text.startswith("Traceback (most recent call last):")
    assert 'in divide\n    1 / int("0")\n' in text
    assert text_of_rows([]) == ""


def no_json(text: str) -> Any:
    return json.loads(text)


def test_frames_of_installed_packages_carry_their_source_lines() -> None:
    """The other end may have it elsewhere, or not at all.

    Where the file is there, it is that one which counts.
    """
    rows = []
    for text in ("{", "[1,", "{"):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            no_json(text)
        original = caught.value.__traceback__
        here = traceback.format_tb(original)
        rows = [
            (str(row[0]).replace(json.__path__[0], "/not/here/json"), *row[1:])
            for row in rows_of(original)
        ]
        there = traceback.format_tb(traceback_of(rows))
        assert [line.replace("/not/here/json", json.__path__[0]) for line in there] == here
        assert all(row[-1] == "" for row in rows if row[0] == __file__)
    linecache.clearcache()
    assert "raw_decode(s" in text_of_rows(rows)
    known = [(__file__, *row[1:-1], "something else\n") for row in rows[:1]]
    assert "something else" not in "".join(traceback.format_tb(traceback_of(known)))
