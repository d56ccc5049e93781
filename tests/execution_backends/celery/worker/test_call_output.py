"""What is sent of what calls print, and what is left out."""

import re
from collections.abc import Iterator

import pytest

from distribute_challenge.core import clock
from distribute_challenge.core.log_lines import Entry
from distribute_challenge.execution_backends.celery.worker import call_output
from distribute_challenge.execution_backends.celery.worker.call_output import CallOutput


class Time:
    now = 100.0


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Time]:
    time = Time()
    monkeypatch.setattr(call_output, "_monotonic", lambda: time.now)
    monkeypatch.setattr(clock, "now", lambda: time.now)
    return time  # type: ignore[return-value]


@pytest.fixture
def output(time: Time) -> CallOutput:
    return CallOutput(lambda: None)


def texts(entries: list[Entry]) -> list[str]:
    return [line for entry in entries for line in entry.line.text.split("\n")]


def test_consecutive_lines_of_a_call_are_sent_together(output: CallOutput, time: Time) -> None:
    """They are of one call, one stream and one moment. They stay in order in any case."""
    ended = output.ended = [0]
    output.hear(1, "a", whole=True)
    output.hear(1, "b", whole=True)
    output.hear(2, "c", whole=True)
    output.add("logging", "d", {"level": 30})
    output.hear(2, "e", whole=True)
    time.now += 0.5
    output.hear(2, "f", whole=True)
    output.end_call()
    ended.append(0)
    output.hear(2, "g", whole=True)
    assert not output.is_empty
    assert [(entry.call, *entry.line) for entry in output.taken()] == [
        (1, "stdout", "a\nb", 100.0),
        (1, "stderr", "c", 100.0),
        (1, "logging", "d", 100.0),
        (1, "stderr", "e", 100.0),
        (1, "stderr", "f", 100.5),
        (2, "stderr", "g", 100.5),
    ]
    assert output.is_empty


def test_pieces_flushed_within_a_short_time_are_one_line(output: CallOutput, time: Time) -> None:
    """Dots, for instance. Another stream is another line."""
    for piece in "...":
        output.hear(1, piece, whole=False)
        time.now += 0.02
    output.hear(2, "!", whole=False)
    output.hear(1, "done", whole=True)
    output.hear(1, "on", whole=False)
    assert texts(output.taken()) == ["...", "!", "done", "on"]
    output.hear(1, "and on", whole=True)
    assert texts(output.taken()) == ["and on"]


def test_a_progress_bar_is_sent_now_and_then_and_in_its_last_state(
    output: CallOutput, time: Time
) -> None:
    """tqdm flushes each state, and writes a line break at the end."""
    for number in range(120):
        output.hear(2, f"\r{number}/120   ", whole=False)
        time.now += 0.1
    output.hear(2, "", whole=True)
    output.hear(2, "", whole=True)
    states = texts(output.taken())
    assert states[-2:] == ["119/120", ""]
    assert 3 <= len(states) <= 5


def test_a_bar_that_is_wiped_out_leaves_nothing(output: CallOutput) -> None:
    output.hear(2, "\r1/2", whole=False)
    output.hear(2, "\r    \r", whole=False)
    output.end_call()
    assert output.taken() == []


def test_a_bar_that_its_call_leaves_is_sent_once(output: CallOutput, time: Time) -> None:
    output.hear(2, "\r1/2", whole=False)
    output.hear(1, "a line meanwhile", whole=True)
    output.hear(1, "", whole=True)
    output.end_call()
    output.end_call()
    assert texts(output.taken()) == ["a line meanwhile", "", "1/2"]
    output.hear(2, "\r1/2", whole=False)
    time.now += 6
    output.hear(2, "\r2/2", whole=False)
    output.end_call()
    assert texts(output.taken()) == ["2/2"]


def test_a_line_overwritten_by_carriage_returns_is_sent_in_its_last_state(
    output: CallOutput,
) -> None:
    output.hear(1, "1 %\r50 %\r100 %", whole=True)
    output.hear(1, "from another system\r", whole=True)
    assert texts(output.taken()) == ["100 %", "from another system"]


def left_out(entries: list[Entry]) -> int:
    """Lines that notices say were left out."""
    found = [
        re.match(r"([\d,]+) lines", entry.line.text)
        for entry in entries
        if entry.line.stream == "notice"
    ]
    return sum(int(match[1].replace(",", "")) for match in found if match)


def test_output_above_a_megabyte_per_second_is_left_out_and_counted(
    output: CallOutput, time: Time
) -> None:
    """Other calls lose no line, and each line left out is counted."""
    entries, printed = [], 0
    for number in range(100_000):  # 10 MB in 5 s.
        output.hear(1, f"{number:099}", whole=True)
        printed += 1
        time.now += 5e-5
        if number % 1000 == 0:
            output.renew()
            entries += output.taken()
            output.sent(10_000_000)
    output.end_call()
    entries += output.taken()
    sent = [
        int(text)
        for entry in entries
        if entry.line.stream == "stdout"
        for text in entry.line.text.split("\n")
    ]
    assert sent == sorted(set(sent))
    assert sent[:10_000] == list(range(10_000))
    assert len(sent) + left_out(entries) == printed
    assert len(sent) == pytest.approx(50_000, rel=0.01)
    assert len([entry for entry in entries if entry.line.stream == "notice"]) <= 6


def test_the_output_limit_applies_to_each_call_separately(output: CallOutput) -> None:
    """It has one in the same second, too."""
    ended: list[int] = []
    output.ended = ended
    output.hear(1, "x" * 2_000_000, whole=True)
    output.add("logging", "left out, too", {})
    output.renew()
    output.hear(1, "left out as well", whole=True)
    output.end_call()
    ended.append(1)
    output.hear(1, "here", whole=True)
    notice, here = output.taken()
    assert (notice.call, notice.line.text.partition(" are")[0]) == (0, "3 lines of 2,000 kB")
    assert (here.call, here.line.text) == (1, "here")


def test_output_that_cannot_be_sent_is_held_up_to_a_limit(
    output: CallOutput, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is away. Once it is there again, there is room."""
    monkeypatch.setattr(call_output, "MOST_HELD", 1000)
    for _ in range(300):
        output.hear(1, "123456789", whole=True)
    entries = output.taken()
    assert len(texts(entries)) == 100
    output.sent(1000)
    time.now += 1
    output.renew()
    output.hear(1, "again", whole=True)
    output.end_call()
    entries = output.taken()
    assert left_out(entries) == 200
    assert entries[-1].line.text == "again"
