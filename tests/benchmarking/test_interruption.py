"""Ctrl+C interrupts once; what comes later does not disturb the tidying up."""

import os
import signal

import pytest

from distribute_challenge.benchmarking.interruption import SIGNALS, interruptible


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


def test_signals_do_afterwards_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptible("wait"):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
