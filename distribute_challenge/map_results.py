"""`MapResults`: what `map` and `starmap` return."""

from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, Self, TypeVar

from distribute_challenge.core.folding import fold
from distribute_challenge.map_run import END, MapRun

__all__ = ["MapResults"]

R = TypeVar("R")


class MapResults(Iterator[R], AsyncIterator[R]):
    """The results of a map, for ``for`` and ``async for``. `DistributableFunction.map` returns it.

    Nothing runs before the first result is asked for. ``async for`` leaves the event loop to other
    tasks, and raises what ``for`` would raise. The items are read in another thread then, one at a
    time.

    Args:
        run: The run of the map.

    Guarantees: calls that have not begun are cancelled when the iterator is closed, and when it is
    deleted, as at the end of a loop that is left early. If the task of an ``async for`` is
    cancelled, running calls are stopped, too.

    Examples:
        >>> import asyncio
        >>> from distribute_challenge import compute_this
        >>> square = compute_this(lambda x: x * x, backend="threads")
        >>> async def total():
        ...     return sum([value async for value in square.map([1, 2, 3])])
        >>> asyncio.run(total())
        14
    """

    def __init__(self, run: MapRun) -> None:
        self._run = run
        # It does not refer to this object, which a ``for`` loop drops when it begins.
        self._values: Generator[R, None, None] = run.values()  # type: ignore[assignment] # it is one
        self._is_async = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._run.facts()}>"

    def __iter__(self) -> Iterator[R]:
        return self._values

    def __next__(self) -> R:
        return next(self._values)

    def close(self) -> None:
        """Cancel the calls that have not begun, and give no further results."""
        self._values.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        self._is_async = True
        try:
            value: Any = await self._run.next_value()
        except BaseException as error:
            fold(error)
            raise
        if value is END:
            raise StopAsyncIteration
        return value  # type: ignore[no-any-return] # a result

    async def aclose(self) -> None:
        """Do the same as `close`, for ``async for``."""
        self._run.close()

    def __del__(self) -> None:
        if self._is_async:
            self._run.close()
