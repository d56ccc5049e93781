"""Lines that calls print, as bytes and as a future keeps them."""

import json

import pytest

from distribute_challenge.core.log_lines import Entry, LastLines, LogLine, decoded, encoded
from distribute_challenge.errors import ForgedError


def line(text: str) -> LogLine:
    return LogLine("stdout", text, 1.5)


def test_encoded_log_lines_decode_to_the_same_entries() -> None:
    """Any text, also a path that is none in UTF-8; and a line that is printed is its text."""
    entries = [
        Entry(0, line("häppy 😀 \x1b[0m")),
        Entry(7, LogLine("logging", "two\nlines", 2.5), {"path": "\udcff", "line": 3}),
    ]
    assert decoded(encoded(entries)) == entries
    assert str(entries[0].line) == "häppy 😀 \x1b[0m"


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[" * 100_000,
        {},
        3,
        [[0, "stdout", "text", 1.0]],
        [[-1, "stdout", "text", 1.0, {}]],
        [[True, "stdout", "text", 1.0, {}]],
        [[0, "stdin", "text", 1.0, {}]],
        [[0, ["stdout"], "text", 1.0, {}]],
        [[0, "stdout", 5, 1.0, {}]],
        [[0, "stdout", "\udcff", 1.0, {}]],
        [[0, "stdout", "text", "now", {}]],
        [[0, "stdout", "text", 1.0, []]],
    ],
    ids=str,
)
def test_malformed_log_lines_are_refused(content: object) -> None:
    data = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(ForgedError):
        decoded(data.encode())


def test_the_last_thousand_lines_are_kept() -> None:
    """Several lines that come in one are counted one by one."""
    lines = LastLines()
    lines.add(line("\n".join(map(str, range(1500)))))
    lines.add(line("last"))
    lines.add(LogLine("warning", "two\nlines", 1.5))
    kept = [each.text for each in lines.all()]
    assert kept == [*map(str, range(502, 1500)), "last", "two\nlines"]


def test_kept_lines_are_bounded_in_total_length_but_the_last_one_stays() -> None:
    """Their length is bounded. The last line is there in any case."""
    lines = LastLines()
    for letter in "abcd":
        lines.add(line(letter * 400_000))
    assert [each.text[0] for each in lines.all()] == ["c", "d"]
    lines.add(line("e" * 2_000_000))
    assert [each.text[0] for each in lines.all()] == ["e"]
