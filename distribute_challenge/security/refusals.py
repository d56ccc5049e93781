"""Counting what was refused: messages, replies, orders, functions and values that nobody with the
secret has made.
"""

import contextlib
import os
import reprlib
from collections import Counter
from typing import Final

from distribute_challenge.core.printable import printable
from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.log import logger

__all__ = ["Refusals"]

# Kinds that are told apart; a guess. Whoever can choose the words for the reasons must not fill the
# memory.
MOST_KINDS = 100
_OTHERS: Final = ("a thing", "for yet another reason")

_shortened = reprlib.Repr()
# Neither what has a gigabyte nor what has a thousand levels may cost more than the line is worth.
_shortened.maxstring = _shortened.maxother = 200
_shortened.maxlevel = 3


class Refusals:
    """What a process and the children that it forks have refused, by what it was and why.

    A line is logged for the first of each kind, and for each tenth, hundredth and so on: whoever
    sends them by the million must not fill the log.

    Guarantees: children may be killed at any moment. Each logs and counts by itself, and its parent
    learns how many there were: by a pipe, as whoever is killed holding a lock leaves it locked.

    Examples:
        >>> refusals = Refusals()
        >>> refusals.note("a reply", "signed with another secret")
        >>> refusals.total
        1
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._own = self._childrens = 0
        self._owner = os.getpid()
        self._pipe: tuple[int, int] | None = None

    def count_children(self) -> None:
        """From now on, take in what forked children refuse."""
        self._owner = os.getpid()
        if self._pipe is None:
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)

    @property
    def total(self) -> int:
        """How many there were."""
        if self._pipe is not None and os.getpid() == self._owner:
            with contextlib.suppress(BlockingIOError):
                while told := len(os.read(self._pipe[0], 1 << 16)):
                    self._childrens += told
        return self._own + self._childrens

    def note(self, what: str, reason: str | Exception, details: object = "") -> None:
        """Count one, and log it unless there were many like it.

        Args:
            what: What it claimed to be.
            reason: Why it was refused; or the error that it brought about, of which the log shows
                the words only if they are the library's own.
            details: The thing itself, of which the log shows the beginning.
        """
        self._own += 1
        kind = (printable(what), printable(_words_for(reason)))
        if kind not in self._counts and len(self._counts) >= MOST_KINDS:
            kind = _OTHERS
        self._counts[kind] += 1
        count = self._counts[kind]
        if count == 10 ** (len(str(count)) - 1):
            logger.warning(
                "refused %s (%s), number %d of this kind: %s", *kind, count, _beginning(details)
            )
        if self._pipe is not None and os.getpid() != self._owner:
            with contextlib.suppress(
                OSError
            ):  # It is full, or the parent has gone: a count is not worth waiting for.
                os.write(self._pipe[1], b"1")


def _words_for(reason: str | Exception) -> str:
    # The words of other errors may be the sender's, and what is refused is counted by the words for
    # it.
    if isinstance(reason, str | DistributeChallengeError):
        return str(reason)
    return f"its form is wrong: {type(reason).__name__}"


def _beginning(details: object) -> str:
    if isinstance(details, bytes | bytearray | memoryview):
        details = bytes(details[:200])
    return _shortened.repr(details)
