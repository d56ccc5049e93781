"""Text that comes from outside, made safe to show.

Redis holds whatever its users write there, and a terminal acts on control characters: they move the
cursor, change what was printed before, or begin a line that looks like another line of the log.
What is not signed is shown through `printable` and no other way.
"""

from typing import Final

__all__ = ["printable"]

MOST: Final = 1000  # Characters that are shown; a guess at what is still read.


def printable(text: str) -> str:
    r"""A text on one line, in which each character that does not print is an escape, and which is
    cut if it is very long.

    Applied twice it is the same as applied once.

    Args:
        text: Of any characters: line breaks, control characters, marks that turn the direction,
            halves of surrogate pairs.

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
