"""What the commands do not show, because it has not the form that this library or Celery gives it:
a line for each kind.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import click

from distribute_challenge.core.printable import printable

__all__ = ["LeftOut"]

T = TypeVar("T")


class LeftOut:
    """Counts for one command what it leaves out.

    Attributes:
        lines: What was left out, how many there were, and why.

    Examples:
        >>> left_out = LeftOut()
        >>> left_out.add_answers({"without a pong": 2, "without the name of one worker": 1})
        >>> left_out.lines
        ['3 answers that no worker gives: 2 without a pong, 1 without the name of one worker']
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add_answers(self, left_out: Mapping[str, int]) -> None:
        """Answers of remote control.

        Args:
            left_out: As `Answers.left_out` has it.
        """
        if total := sum(left_out.values()):
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
            self.lines.append(f"{total} answer{'s' * (total > 1)} that no worker gives: {reasons}")

    def read(self, what: str, key: str, reading: Callable[[], T]) -> T | None:
        """What is read from Redis; None, and a line more, where a key of another type is in the
        way.

        Args:
            what: What is read, for the line.
            key: Where it lies.
            reading: Reads it.

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
