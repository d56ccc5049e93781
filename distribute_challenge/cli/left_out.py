"""Tells what the commands left out because it was not written by this library or Celery.

There is one line for each kind.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import click

from distribute_challenge.core.printable import printable

__all__ = ["LeftOut"]

T = TypeVar("T")


class LeftOut:
    """Records for one command what it leaves out.

    Attributes:
        lines: One line for each kind: what was left out, how many, and why.

    Examples:
        >>> left_out = LeftOut()
        >>> left_out.add_answers({"without a pong": 2, "without the name of one worker": 1})
        >>> left_out.lines
        ['3 answers that no worker gives: 2 without a pong, 1 without the name of one worker']
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add_answers(self, left_out: Mapping[str, int]) -> None:
        """Add a line about answers of remote control.

        Args:
            left_out: The numbers of `Answers.left_out`, by reason.
        """
        if total := sum(left_out.values()):
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            self.lines.append(f"{total} answer{'s' * (total > 1)} that no worker gives: {reasons}")

    def read(self, what: str, key: str, reading: Callable[[], T]) -> T | None:
        """Return what ``reading`` reads from Redis; add a line if the key has another type.

        Args:
            what: What is read, for the line.
            key: The Redis key that is read.
            reading: Reads the key.

        Returns:
            The result of ``reading``; None if the key has another type.

        Raises:
            redis.RedisError: Redis cannot be reached, or refuses for another reason.
        """
        import redis

        try:
            return reading()
        except redis.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            self.lines.append(
                f"{what}: Redis has a key of another type in the place of {printable(key)}; delete "
                f"it"
            )
            return None

    def echo(self) -> None:
        """Print the lines to standard error."""
        for line in self.lines:
            click.echo(f"left out: {line}", err=True)
