"""How a call ended: its value, or a `Failure` in the value's place.

A plain value stands for itself, so that a million successes cost nothing; only a failure is wrapped.
Captured once on the worker, unwrapped once at the client.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["Failure", "unwrap"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised.

    Args:
        error: What it raised, with the traceback of the frames it raised in.
    """

    error: BaseException


def unwrap(outcome: Any) -> Any:
    """The value, or the failure's exception raised.

    Example:
        >>> unwrap(4)
        4
        >>> unwrap(Failure(ZeroDivisionError("division by zero")))
        Traceback (most recent call last):
        ...
        ZeroDivisionError: division by zero
    """
    if type(outcome) is Failure:
        raise outcome.error
    return outcome
