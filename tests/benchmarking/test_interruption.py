"""Ctrl+C interrupts once; what comes later does not disturb the tidying up."""

import os
import signal
import sys
import threading

import pytest

from distribute_challenge.benchmarking import interruption
from distribute_challenge.benchmarking.interruption import SIGNALS, interruptible
from tests.processes import PATIENCE


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_interrupts_and_later_ones_are_answered(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    tidied = False
    with interruptible("a moment, please"):
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            for other in SIGNALS:
                os.kill(os.getpid(), other)
            tidied = True
    assert tidied
    assert capsys.readouterr().err == "a moment, please\n" * len(SIGNALS)


class Deleted:
    """An object in whose deletion a signal comes."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self._number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_whose_exception_python_ignores_is_raised_again(number: signal.Signals) -> None:
    """Python ignores every exception that is raised while it deletes an object."""
    pause = threading.Event()
    with interruptible("wait"):
        Deleted(number)
        with pytest.raises(KeyboardInterrupt):
            pause.wait(PATIENCE)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_while_python_ignores_the_first_is_raised_again(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[threading.Timer] = []

    class Interrupted(threading.Timer):
        def start(self) -> None:
            timers.append(self)
            if len(timers) == 1:
                signal.raise_signal(number)
            super().start()

    monkeypatch.setattr(interruption.threading, "Timer", Interrupted)
    pause = threading.Event()
    with interruptible("wait"):
        Deleted(number)
        with pytest.raises(KeyboardInterrupt):
            pause.wait(PATIENCE)
        for timer in timers:
            timer.join()
    assert len(timers) >= 2  # More if one of them comes before the object is deleted.


def test_other_exceptions_that_python_ignores_are_reported_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("broken")

    reported: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda each: reported.append(str(each.exc_value)))
    with interruptible("wait"):
        Broken()
    assert reported == ["broken"]


def test_signal_handlers_are_restored_after_the_block() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptible("wait"):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
