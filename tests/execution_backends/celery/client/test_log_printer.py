"""The thread that shows lines, and what is slower than they come."""

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from distribute_challenge.core import clock
from distribute_challenge.core.log_lines import LogLine
from distribute_challenge.execution_backends.celery.client import log_printer
from distribute_challenge.execution_backends.celery.client.log_display import LogDisplay, Printout
from distribute_challenge.execution_backends.celery.client.log_printer import LogPrinter


class Screen(io.StringIO):
    """Takes lines one by one, when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Semaphore(0)
        self.waits = threading.Event()

    def write(self, text: str) -> int:
        self.waits.set()
        assert self.may.acquire(timeout=60)
        return super().write(text)


def printout(text: str) -> Printout:
    return Printout("f@w", [(LogLine("stdout", text, 0.0), {})])


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def printer() -> Iterator[LogPrinter]:
    printer = LogPrinter()
    yield printer
    printer.close()


def test_wait_returns_when_the_line_has_been_shown(
    screen: Screen, printer: LogPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", screen)
    screen.may.release(2)
    printer.put(printout("a"))
    printer.wait(printer.put(printout("b")))
    assert screen.getvalue() == "f@w │ a\nf@w │ b\n"


def test_a_blocked_stream_delays_only_one_waiter_for_a_limited_time(
    screen: Screen,
    printer: LogPrinter,
    eventually: Callable[[Callable[[], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It holds it up for a moment. When the screen goes on, callers wait for it as before."""
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(log_printer, "SHOWN_WITHIN", 0.2)
    number = printer.put(printout("a"))
    began = clock.monotonic()
    for _ in range(100):
        printer.wait(number)
    assert 0.2 <= clock.monotonic() - began < 10
    screen.may.release(2)
    printer.wait(number)
    monkeypatch.setattr(log_printer, "SHOWN_WITHIN", 20)
    eventually(lambda: "a" in screen.getvalue())
    printer.wait(number)
    printer.wait(printer.put(printout("b")))
    assert screen.getvalue().endswith("b\n")


def test_lines_that_come_faster_than_they_are_shown_are_left_out_and_counted(
    screen: Screen, printer: LogPrinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_printer, "MOST_WAITING", 10)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    printer.put(printout("first"))
    assert screen.waits.wait(60)
    for text in ("second, which is longer", "left out", "this, too"):
        printer.put(printout(text))
    screen.may.release(20)
    printer.wait(printer._put)
    printer.wait(printer.put(printout("last")))
    assert [each.partition(" │ ")[2][:31] for each in screen.getvalue().splitlines()] == [
        "first",
        "second, which is longer",
        "2 lines are left out here: this",
        "last",
    ]


def test_an_exception_of_user_code_that_shows_a_line_is_logged_and_ends_nothing(
    printer: LogPrinter, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler of `logging`, for instance; nor does it wait for itself."""

    def fail(self: object, shown: Printout) -> None:
        printer.wait(10**9)
        raise SystemExit

    with monkeypatch.context() as context:
        context.setattr(LogDisplay, "show", fail)
        printer.wait(printer.put(printout("a")))
    with caplog.at_level(logging.ERROR):
        printer.wait(printer.put(printout("b")))
    assert "what a call has printed cannot be shown" in caplog.text


def test_close_shows_the_waiting_lines_and_later_ones_are_dropped(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", screen)
    printer = LogPrinter()
    printer.close()  # It never had a thread.
    printer = LogPrinter()
    for text in "abc":
        number = printer.put(printout(text))
    threading.Timer(0.1, screen.may.release, [10]).start()
    printer.close()
    assert printer.put(printout("d")) == 0
    printer.wait(number)
    printer.wait(number + 1)
    assert screen.getvalue() == "f@w │ a\nf@w │ b\nf@w │ c\n"


@pytest.mark.parametrize("when", ["before", "in a block", "meanwhile"])
def test_after_ctrl_c_nothing_more_is_shown(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(
        sys, "last_value", KeyboardInterrupt() if when == "before" else None, raising=False
    )
    printer = LogPrinter()
    for text in "abc":
        printer.put(printout(text))
    assert screen.waits.wait(60)
    timer = threading.Timer(0.1, screen.may.release, [10])
    timer.start()
    if when == "before":
        printer.close()
    elif when == "in a block":
        with pytest.raises(KeyboardInterrupt), contextlib.closing(printer):
            raise KeyboardInterrupt
    else:
        join = threading.Thread.join
        monkeypatch.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            printer.close()
        monkeypatch.setattr(threading.Thread, "join", join)
        printer.close()
    assert screen.getvalue() == "f@w │ a\n"
    timer.join()


def interrupted(thread: threading.Thread) -> None:
    raise KeyboardInterrupt
