"""What is refused is counted, and logged so that it cannot fill a log."""

import logging
import os

import pytest

from distribute_challenge.errors import ForgedError
from distribute_challenge.security import Refusals
from distribute_challenge.security.refusals import MOST_KINDS
from tests.forks import ended, fork


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "distribute_challenge")
    return caplog


def test_the_1st_10th_and_100th_refusal_of_a_kind_are_logged(
    lines: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for _ in range(150):
        refusals.note("a message", "signed with another secret", b"bytes")
    refusals.note("a reply", "signed with another secret")
    assert refusals.total == 151
    assert [record.args[2] for record in lines.records] == [1, 10, 100, 1]  # type: ignore[index]
    assert (
        "refused a message (signed with another secret), number 100 of this kind: b'bytes'"
        in lines.text
    )


def test_invented_kinds_fill_neither_log_nor_memory(
    lines: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    for number in range(20 * MOST_KINDS):
        refusals.note("a message", f"reason {number}")
    assert refusals.total == 20 * MOST_KINDS
    assert len(lines.records) == MOST_KINDS + 4  # 1, 10, 100 and 1000 of the rest.
    assert "for yet another reason" in lines.text


@pytest.mark.slow
def test_huge_or_deeply_nested_details_are_logged_as_one_short_line(
    lines: pytest.LogCaptureFixture,
) -> None:
    """It does not end the program that logs it."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    refusals = Refusals()
    for number, details in enumerate(
        [b"\xff" * 10**8, memoryview(bytes(10**8)), "é" * 10**7, deep, {"a": deep}]
    ):
        refusals.note("a message", str(number), details)
    assert len(lines.records) == 5
    assert max(len(record.getMessage()) for record in lines.records) < 1000
    while deep:  # By hand: the interpreter would go as deep.
        deep = deep.pop()  # type: ignore[assignment]


@pytest.mark.slow
def test_refusals_in_forked_children_are_counted_by_the_parent(
    lines: pytest.LogCaptureFixture,
) -> None:
    """The parent counts it from its first request on, never twice, and without waiting."""
    refusals = Refusals()
    refusals.note("a message", "before")
    refusals.count_children()
    refusals.count_children()

    def refuse() -> bool:
        for _ in range(100_000):  # More than the pipe holds.
            refusals.note("a function", "forged")
        return refusals.total != 100_001

    assert ended(fork(refuse)) == 0
    told = refusals.total
    assert 60_000 < told < 100_001
    refusals.note("a message", "after")
    assert refusals.total == told + 1


def test_a_child_process_counts_its_refusals_when_its_parent_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It counts by itself."""
    refusals = Refusals()
    refusals.count_children()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    refusals.note("a function", "forged")
    assert refusals.total == 1
    monkeypatch.undo()
    assert refusals.total == 2


def test_a_logged_refusal_is_one_line_without_control_characters(
    lines: pytest.LogCaptureFixture,
) -> None:
    """The words may be the sender's."""
    refusals = Refusals()
    refusals.note("a\x1bmessage", "for\nno reason", "\x1b[2J\n")
    assert lines.messages == [
        r"refused a\x1bmessage (for\nno reason), number 1 of this kind: '\x1b[2J\n'"
    ]


def test_only_error_texts_of_the_library_are_logged(
    lines: pytest.LogCaptureFixture,
) -> None:
    refusals = Refusals()
    refusals.note("a message", ForgedError("signed with another secret"))
    refusals.note("a message", KeyError("the sender's"))
    assert "(signed with another secret)" in lines.messages[0]
    assert "(its form is wrong: KeyError)" in lines.messages[1]
