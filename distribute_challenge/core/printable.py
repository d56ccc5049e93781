"""Makes text from outside safe to show.

Any user of Redis can write any text there, and a terminal acts on control characters: they move the
cursor, change what was printed before, or begin a line that looks like another line of the log.
Text that is not signed is shown only through `printable`.
"""

from typing import Final

__all__ = ["printable"]

MOST: Final = 1000  # Characters that are shown; a guess at how much people still read.


def printable(text: str) -> str:
    r"""Return a text on one line, with escapes for characters that do not print.

    A very long text is cut. Applied twice the result is the same as applied once.

    Args:
        text: Any characters: line breaks, control characters, marks that turn the direction of
            writing, halves of surrogate pairs.

    Examples:
        >>> print(printable("worker@host\x1b[2J\nready"))
        worker@host\x1b[2J\nready
        >>> printable("größer ×5")
        'größer ×5'
    """
    if not text[: MOST + 1].isprintable():
        text = "".join(one if one.isprintable() else _escape(one) for one in text[: MOST + 1])
    return text if len(text) <= MOST else f"{text[: MOST - 3]}..."


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
