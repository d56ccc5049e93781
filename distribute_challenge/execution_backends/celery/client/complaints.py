"""Logs errors with single messages once for each kind, so that they do not fill the log."""

from distribute_challenge.log import logger

__all__ = ["Complaints"]


class Complaints:
    """Logs the first error of each kind; a client and its log printer report errors to it.

    Two errors are of one kind if the same action failed with the same type of exception.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def add(self, what: str, error: BaseException) -> None:
        """Log an error, unless one of its kind has been logged.

        Args:
            what: The action that failed, as a sentence.
            error: The exception that it failed with.
        """
        kind = what, type(error).__qualname__
        if kind not in self._known:
            self._known.add(kind)
            logger.error("%s; further errors of this kind are not logged", what, exc_info=error)
