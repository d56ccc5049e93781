"""Functions to call on every engine, and values to give to them."""

import os
from typing import Any

import numpy

from distribute_challenge import compute_this


@compute_this
def add(x: int, y: int = 1) -> int:
    return x + y


@compute_this
def fail(text: str) -> None:
    raise ValueError(text)


class Account:
    def __init__(self, total: int) -> None:
        self.total = total

    @compute_this
    def plus(self, x: int) -> int:
        return self.total + x

    @compute_this
    @staticmethod
    def free(x: int) -> int:
        return x

    @compute_this
    @classmethod
    def make(cls, x: int) -> "Account":
        return cls(x)

    def plain(self, x: int) -> int:
        return self.total * x

    def __call__(self, x: int) -> int:
        return self.total - x


class Leaving:
    """Ends whichever process unpickles it, if that is the one given; or tries to."""

    def __init__(self, pid: int, error: type[BaseException]) -> None:
        self.made_of = pid, error

    def __reduce__(self) -> tuple[Any, ...]:
        return _leave, self.made_of


def _leave(pid: int, error: type[BaseException]) -> Leaving:
    if pid == os.getpid():
        raise error("as it is unpickled")
    return Leaving(pid, error)


class Unloadable:
    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise OSError("not to be had")


@compute_this
def double(x: Any) -> Any:
    return x * 2


LARGE = numpy.arange(200_000, dtype=float).reshape(400, 500)  # 1.6 MB

ARRAYS = {
    "large": LARGE,
    "columns first": numpy.asfortranarray(LARGE),
    "every other": LARGE[:, ::2],
    "backwards": LARGE[::-1],
    "no elements": LARGE[:0],
    "no dimensions": LARGE[0, 0],
    "records": numpy.zeros(50_000, dtype=[("name", "S8"), ("number", "<i4")]),
    "times": numpy.arange(50_000).astype("datetime64[s]"),
    "objects": numpy.array([None, "a", [1]] * 5_000, dtype=object),
    "masked": numpy.ma.masked_less(LARGE, 100),
}


class Measurement:
    """A class of a module of the user's own. Its source has to travel with the value."""

    def __init__(self, values: Any) -> None:
        self.values = values
