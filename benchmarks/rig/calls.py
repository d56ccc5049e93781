"""The calls that are made while faults happen, and what each of them is to end in."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Literal, TypeAlias

from benchmarks.rig.diary import note
from distribute_challenge.decorator import compute_this

__all__ = [
    "Ending",
    "Item",
    "MistakeError",
    "answer",
    "consume",
    "follow",
    "halves",
    "joined",
    "pause",
    "right",
    "work",
]

Ending = Literal["value", "large", "raise", "exit", "kill"]

#: An item of a map-reduce: the diary's folder, the name of the call, and its seconds.
Item: TypeAlias = tuple[str, str, float]

# That the value of a large call holds its answer: 320 kB, which do not travel in a message.
TIMES = 40_000


class MistakeError(Exception):
    """What a call raises that is to raise."""


def answer(call: str) -> str:
    """The right value of a call; no other call has it, not even by chance.

    Examples:
        >>> answer("c-1")
        'a6f7ef47'
    """
    return hashlib.sha256(call.encode()).hexdigest()[:8]


def right(call: str, ending: Ending) -> str:
    """The right value of a call that is to end in one; a large call takes the same as its argument.

    Examples:
        >>> right("c-1", "value"), len(right("c-1", "large"))
        ('a6f7ef47', 320000)
    """
    return answer(call) * TIMES if ending == "large" else answer(call)


@compute_this
def work(diary: str, call: str, seconds: float, ending: Ending, argument: str = "") -> str:
    """Print, take a while, and end as told: by the `right` value, an error or this process's end."""
    note(diary, call)
    print(f"{call} takes {seconds:.3f} s")
    time.sleep(seconds)
    if ending == "raise":
        raise MistakeError(call)
    if ending == "exit":
        os._exit(7)
    if ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "large" and argument != right(call, ending):
        raise ValueError(
            f"{call} got another argument than it was given, of {len(argument)} characters"
        )
    return right(call, ending)


@compute_this
def follow(diary: str, call: str, seconds: float, needs: list[str], values: list[str]) -> str:
    """Like `work`, for a call that needs the values of others; it fails if these are not right."""
    note(diary, call)
    time.sleep(seconds)
    if values != [answer(needed) for needed in needs]:
        raise ValueError(f"{call} needs {needs}, and got {values!r:.200}")
    return answer(call)


def halves(item: Item) -> Iterator[tuple[str, str]]:
    """A mapper: gives both halves of an answer, and what makes its pairs too large for a message."""
    diary, call, seconds = item
    note(diary, call)
    time.sleep(seconds)
    yield call, answer(call)[:4]
    yield "", right(call, "large")
    yield call, answer(call)[4:]


def joined(call: str, parts: Iterator[str]) -> str:
    """A reducer: makes an answer of its halves."""
    return "".join(parts) if call else ""


@compute_this
def consume(item: tuple[str, str, float]) -> str:
    """Like `work`, for a call that is an item of a queue; it returns the call's name."""
    diary, call, seconds = item
    note(diary, call)
    time.sleep(seconds)
    return call


@compute_this
def pause(seconds: float) -> None:
    """Take a while."""
    time.sleep(seconds)
