"""What calls raised: the first of each kind with its traceback, the others as numbers."""

import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from distribute_challenge.core.guarded import name_of, text_of, tried

__all__ = ["Failures", "Kind"]

MOST_KINDS = 50  # With a traceback; a guess at what people still read.
MOST_OTHERS = 200  # Pairs of function and class that are only counted.
MOST_TEXT = 500  # Characters of an exception's text that tell one kind from another.
MOST_TRACEBACK = 20_000  # Characters.


@dataclass(slots=True)
class Kind:
    """Failures of one function with one class and text.

    Attributes:
        function: Name of the function.
        error: Name of the class of the exception.
        text: Its text, shortened.
        call: The first of these calls, as text.
        worker: The process that ran that call; empty if it is not known.
        traceback: Its traceback, as text.
        count: How many calls failed like this.
    """

    function: str
    error: str
    text: str
    call: str
    worker: str
    traceback: str
    count: int


class Failures:
    """The failures of all calls.

    Attributes:
        kinds: Those with a traceback, the earliest first.
        others: Numbers of further ones, by function and class; of the rest together, by ``""``.

    Guarantees: any thread may add failures. No code of users runs under ``_lock``.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.kinds: dict[tuple[str, str, str], Kind] = {}
        self.others: Counter[tuple[str, str]] = Counter()

    def add(
        self,
        function: str,
        error: BaseException,
        count: int,
        call: Callable[[], str],
        worker: str,
    ) -> None:
        """Add failures that have one exception.

        Args:
            function: Name of the function.
            error: The exception.
            count: How many calls failed with it.
            call: Returns the first of them as text.
            worker: The process that ran it; empty if it is not known.
        """
        key = function, name_of(type(error)).removeprefix("builtins."), text_of(error)[:MOST_TEXT]
        kind = None
        if key not in self.kinds and len(self.kinds) < MOST_KINDS:
            shown = tried(lambda: _traceback(error), lambda reason: "")
            kind = Kind(*key, call(), worker, shown, 0)
        with self._lock:
            if kind is not None:
                self.kinds.setdefault(key, kind)
            if key in self.kinds:
                self.kinds[key].count += count
                return
            other = key[:2]
            if other not in self.others and len(self.others) >= MOST_OTHERS:
                other = ("", "")
            self.others[other] += count


def _traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    if len(text) <= MOST_TRACEBACK:
        return text
    # The end says what was raised, and where.
    return f"... {len(text) - MOST_TRACEBACK:,} characters left out ...\n{text[-MOST_TRACEBACK:]}"
