"""What a call needs: the futures and calls that stand in its arguments.

    client: pickling (args, kwargs) ──► a future or call in them ──► `stand_in` ──► number
    worker: unpickling ──► `value_of`, with the number ──► the value that was sent beside

The pickler finds them, however deep they lie, so no second walk over the arguments is needed.

A detached call cannot wait for this process. Its calls are pickled whole (`as_they_are`), and run
where it runs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from distribute_challenge.errors import ValueMissingError

__all__ = [
    "as_they_are",
    "collecting",
    "collecting_nothing",
    "giving",
    "is_as_they_are",
    "is_need",
    "itself",
    "stand_in",
    "unpacked",
    "value_of",
]


_needs: ContextVar[list[Any] | None] = ContextVar("distribute_challenge_needs", default=None)
_whole: ContextVar[bool] = ContextVar("distribute_challenge_whole", default=False)
_values: ContextVar[Sequence[Any]] = ContextVar("distribute_challenge_values", default=())


class collecting:  # noqa: N801 - used as a function; a class is faster, for each call of a graph
    """Collect the futures and calls that are pickled in this block, which would fail otherwise.

    The list has them in the order in which they were found.
    """

    def __enter__(self) -> list[Any]:
        needs: list[Any] = []
        self._token = _needs.set(needs)
        return needs

    def __exit__(self, *_: object) -> None:
        _needs.reset(self._token)


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """Let futures and calls that are pickled in this block fail, as outside of `collecting`."""
    token = _needs.set(None)
    try:
        yield
    finally:
        _needs.reset(token)


def is_need(thing: Any) -> bool:
    """Whether an object is a future or call, which stands for a value; its class says so."""
    return getattr(type(thing), "__stands_for_value__", False)


def stand_in(thing: Any) -> tuple[Callable[[int], Any], tuple[int]] | None:
    """Return what is pickled in place of a future or call; None where none may be pickled."""
    needs = _needs.get()
    if needs is None or _whole.get():
        return None
    needs.append(thing)  # Once: for the second time, the pickler refers to the first.
    return value_of, (len(needs) - 1,)


@contextmanager
def as_they_are() -> Iterator[None]:
    """Pickle calls that have not run as calls, in this block, and futures as their values."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def is_as_they_are() -> bool:
    """Whether calls are pickled as calls now."""
    return _whole.get()


class giving:  # noqa: N801 - as above, for each call that gets inputs
    """Give the values that stand-ins unpickled in this block stand for, by number."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._given = values

    def __enter__(self) -> None:
        self._token = _values.set(self._given)

    def __exit__(self, *_: object) -> None:
        _values.reset(self._token)


def unpacked(results: Iterable[bytes], unpack: Callable[[bytes], Any]) -> list[Any]:
    """Unpickle results of other calls, for `giving`.

    Args:
        results: The results.
        unpack: Unpickles one of them.

    Raises:
        ValueMissingError: Large values are missing. It names those of all results, as each time
            that values are provided takes a message.
    """
    values: list[Any] = []
    missing: list[str] = []
    for result in results:
        try:
            values.append(unpack(result))
        except ValueMissingError as error:
            missing += error.keys
    if missing:
        raise ValueMissingError(missing)
    return values


def value_of(number: int) -> Any:
    """Return the value that a stand-in stands for; pickles name this function."""
    return _values.get()[number]


def itself(value: Any) -> Any:
    """Return a value; pickles in which the value stands for its future name this function."""
    return value
