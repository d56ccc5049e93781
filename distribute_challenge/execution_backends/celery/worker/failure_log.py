"""The worker's log of calls that raised: one warning for each, with its traceback, up to a limit.

A child process writes the lines, after it has sent the reply. It tells the main process how many
calls it left out, and the main process logs their number once a second.
"""

import time

from distribute_challenge.core.failures import Failures
from distribute_challenge.core.messages import Batch
from distribute_challenge.log import current_call, logger

__all__ = ["MOST", "PERIOD", "FailureLog", "LeftOut", "left_out"]

# Warnings of one child in each period. A guess: enough to see what goes wrong, and no more than a
# terminal can show.
MOST = 10
PERIOD = 1.0  # Seconds.


class FailureLog:
    """Logs the failed calls of one child process; `run_batch` calls it after each batch."""

    def __init__(self) -> None:
        self._since = -PERIOD
        self._written = 0

    def room(self) -> int:
        """Return how many failures to keep for the log; at least one, which Celery is told."""
        return max(1, MOST - self._written) if self._is_same_period() else MOST

    def write(self, batch: Batch, failures: Failures) -> int:
        """Log the failures of a batch.

        Args:
            batch: The batch.
            failures: The failures of its calls.

        Returns:
            How many were left out.
        """
        if not self._is_same_period():
            self._since, self._written = time.monotonic(), 0
        written = failures.kept[: MOST - self._written]
        self._written += len(written)
        if written:
            # Imported only when a call has failed.
            from distribute_challenge.serialisation.exceptions.packing import traceback_text

            token = current_call.set(batch.name)
            try:
                for error, call in written:
                    logger.warning(
                        "%s raised, in task %s\n%s", call, batch.id, traceback_text(error).rstrip()
                    )
            finally:
                current_call.reset(token)
        return failures.raised - len(written)

    def _is_same_period(self) -> bool:
        return time.monotonic() - self._since < PERIOD


class LeftOut:
    """Counts, in a worker's main process, the failed calls that its children did not log."""

    def __init__(self) -> None:
        self._calls = 0

    def add(self, calls: int) -> None:
        """Count calls that a child left out."""
        self._calls += calls

    def write(self) -> None:
        """Log how many calls were left out since the last `write`."""
        calls, self._calls = self._calls, 0
        if calls:
            logger.warning(
                "%d more calls raised, whose tracebacks are left out here: a process writes no "
                "more than %d in a second",
                calls,
                MOST,
            )


left_out = LeftOut()
