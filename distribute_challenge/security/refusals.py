"""Counts refusals: messages, replies, commands, functions and values without a valid signature."""

import contextlib
import os
import reprlib
from collections import Counter
from typing import Final

from distribute_challenge.core.printable import printable
from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.log import logger

__all__ = ["Refusals"]

# Kinds that are counted separately; a guess. A sender that can choose the text of reasons must not
# be able to fill the memory.
MOST_KINDS = 100
_OTHERS: Final = ("a thing", "for yet another reason")

_shortened = reprlib.Repr()
# A value of a gigabyte, or with a thousand levels, must not make a line of the log expensive.
_shortened.maxstring = _shortened.maxother = 200
_shortened.maxlevel = 3


class Refusals:
    """Counts what a process and its forked children have refused, by kind: what it was, and why.

    The first, the tenth, the hundredth and so on of each kind is logged, so that a sender of
    millions cannot fill the log.

    Guarantees: children may be killed at any moment. Each child logs and counts by itself, and
    reports the number to its parent by a pipe: a child that is killed while it holds a lock would
    leave the lock locked.

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
        """From now on, also count what forked children refuse."""
        self._owner = os.getpid()
        if self._pipe is None:
            self._pipe = os.pipe()
            for end in self._pipe:
                os.set_blocking(end, False)

    @property
    def total(self) -> int:
        """Number of refusals so far, with those of forked children if these are counted."""
        if self._pipe is not None and os.getpid() == self._owner:
            with contextlib.suppress(BlockingIOError):
                while told := len(os.read(self._pipe[0], 1 << 16)):
                    self._childrens += told
        return self._own + self._childrens

    def note(self, what: str, reason: str | Exception, details: object = "") -> None:
        """Count a refusal, and log it unless there were many of its kind.

        Args:
            what: What was refused, as in ``"a reply"``.
            reason: Why it was refused; or the error that it caused, whose text is logged only if
                it is one of the library's own.
            details: The refused object, of which the log shows the beginning.
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
            # The pipe is full, or the parent is gone: a count is not worth a wait.
            with contextlib.suppress(OSError):
                os.write(self._pipe[1], b"1")


def _words_for(reason: str | Exception) -> str:
    # The text of other errors may contain what the sender wrote, and refusals are counted by text.
    if isinstance(reason, str | DistributeChallengeError):
        return str(reason)
    return f"its form is wrong: {type(reason).__name__}"


def _beginning(details: object) -> str:
    if isinstance(details, bytes | bytearray | memoryview):
        details = bytes(details[:200])
    return _shortened.repr(details)
