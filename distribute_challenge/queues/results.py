"""How consumers report what has become of items: results, and dead letters."""

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from distribute_challenge.core.guarded import text_of
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import SerialisationError
from distribute_challenge.queues.full import Full
from distribute_challenge.queues.queue import Queue

__all__ = ["Failures", "error_text", "put_results"]

LOOK_EVERY = 1.0  # Seconds between two looks whether results without room are still wanted.


def put_results(
    results: Queue[Any] | None, values: Sequence[Any], is_wanted: Callable[[], bool]
) -> int:
    """Put results into their queue, and wait until there is room for them.

    Args:
        results: The queue; None: there is none, and all counts as put.
        values: The results.
        is_wanted: Whether to wait on. It is asked once in a while.

    Returns:
        How many were put: all, unless they were not wanted any more.

    Raises:
        SerialisationError: One cannot be pickled; then none was put.
        ShutDown: The queue was shut down, or has ended with its client.
        SystemFailureError: The broker does not answer, or has no room.
    """
    put = 0
    while results is not None and put < len(values):
        try:
            results.put_many(values[put:], timeout=LOOK_EVERY)
        except Full as full:
            put += full.put
            if not is_wanted():
                return put
        else:
            break
    return len(values)


def error_text(error: BaseException) -> str:
    """Return an exception as the text of a dead letter.

    Examples:
        >>> error_text(ValueError("no picture"))
        'ValueError: no picture'
    """
    return f"{type(error).__name__}: {text_of(error)}"


class Failures:
    """Counts the items of one turn of a consumer that failed."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def note(self, failure: Failure | SerialisationError) -> str:
        """Note that an item failed, and return the text of its error."""
        error = failure.error if isinstance(failure, Failure) else failure
        self.count += 1
        if self.count == 1:
            self.first = "".join(traceback.format_exception(error)).rstrip()
        return error_text(error)
