"""Counting what was refused: messages, replies and orders that nobody with the secret has sent."""

from collections import Counter

from distribute_challenge.log import logger

__all__ = ["Refusals"]


class Refusals:
    """What one process has refused, by what it was and why.

    A line is logged for the first of each kind, and for each tenth, hundredth and so on: whoever sends them by the million must
    not fill the log.

    Attributes:
        total: How many there were.

    Example:
        >>> refusals = Refusals()
        >>> refusals.note("a reply", "signed with another secret")
        >>> refusals.total
        1
    """

    def __init__(self) -> None:
        self.total = 0
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, what: str, reason: str, details: object = "") -> None:
        """Count one, and log it unless there were many like it.

        Args:
            what: What it claimed to be.
            reason: Why it was refused.
            details: The thing itself, of which the log shows the beginning.
        """
        self.total += 1
        self._counts[what, reason] += 1
        count = self._counts[what, reason]
        if count == 10 ** (len(str(count)) - 1):
            logger.warning("refused %s (%s), number %d of this kind: %.200r", what, reason, count, details)
