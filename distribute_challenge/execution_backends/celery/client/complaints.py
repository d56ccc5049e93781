"""What goes wrong with single messages, told once of each kind: whoever sends a million bad ones
does not fill the log.
"""

from distribute_challenge.log import logger

__all__ = ["Complaints"]


class Complaints:
    """Logs the first of each kind: by what was being done, and the type of the error."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def add(self, what: str, error: BaseException) -> None:
        """One more.

        Args:
            what: What could not be done, as a sentence.
            error: Why.
        """
        kind = what, type(error).__qualname__
        if kind not in self._known:
            self._known.add(kind)
            logger.error("%s; further errors of this kind are not logged", what, exc_info=error)
