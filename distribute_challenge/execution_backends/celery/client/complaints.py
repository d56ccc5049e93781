"""What goes wrong with single messages, told once of each kind: whoever sends a million bad ones does not fill the log."""

from collections import Counter

from distribute_challenge.log import logger

__all__ = ["Complaints"]


class Complaints:
    """Counts what went wrong, and logs the first of each kind.

    Attributes:
        counts: How often it happened, by what was being done and the type of the error.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, what: str, error: Exception) -> None:
        """One more.

        Args:
            what: What could not be done, as a sentence.
            error: Why.
        """
        kind = what, type(error).__qualname__
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            logger.error("%s; further errors of this kind are not logged", what, exc_info=error)
