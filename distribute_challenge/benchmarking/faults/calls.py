"""The calls that are made while faults happen, and what each of them is to end in."""

import hashlib
import os
import signal
import time
from typing import Literal

from distribute_challenge.benchmarking.faults.diary import note
from distribute_challenge.decorator import compute_this

__all__ = ["Ending", "MistakeError", "answer", "pause", "work"]

Ending = Literal["value", "raise", "exit", "kill"]


class MistakeError(Exception):
    """What a call raises that is to raise."""


def answer(call: str) -> str:
    """The right value of a call: nobody has it by chance, nor another call's.

    Examples:
        >>> answer("c-1")
        'a6f7ef47'
    """
    return hashlib.sha256(call.encode()).hexdigest()[:8]


@compute_this
def work(diary: str, call: str, seconds: float, ending: Ending) -> str:
    """Take a while, and end as told: in the `answer`, in a `MistakeError`, or with this process."""
    note(diary, call)
    time.sleep(seconds)
    if ending == "raise":
        raise MistakeError(call)
    if ending == "exit":
        os._exit(7)
    if ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(call)


@compute_this
def pause(seconds: float) -> None:
    """Take a while."""
    time.sleep(seconds)
