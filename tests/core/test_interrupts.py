"""What a Ctrl+C does at the end of a program."""

import signal
from typing import Any

import pytest

from distribute_challenge.core import interrupts


def test_a_ctrl_c_just_before_a_clean_up_does_not_leave_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python would only print it."""
    pressed: list[int] = []
    cleaned: list[bool] = []

    def getsignal(number: int) -> Any:
        pressed.append(number)
        if len(pressed) == 1:
            raise KeyboardInterrupt
        return signal.SIG_IGN

    with monkeypatch.context() as context:
        context.setattr(interrupts.signal, "getsignal", getsignal)
        interrupts._undisturbed(lambda: cleaned.append(True))
    assert cleaned == [True]
    assert len(pressed) == 2
