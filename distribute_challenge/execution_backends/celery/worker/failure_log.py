"""The worker's log of calls that raised: one warning for each, with its traceback, and no more of
them than can be read.

A child writes the lines, after the reply has gone. What it leaves out it tells its main process,
which says once a second how many calls that were.
"""

import time

from distribute_challenge.core.failures import Failures
from distribute_challenge.core.messages import Batch
from distribute_challenge.log import current_call, logger

__all__ = ["MOST", "PERIOD", "FailureLog", "LeftOut", "left_out"]

# Lines of one child in each period; a guess: enough to see what goes wrong, and no more than a
# terminal can show.
MOST = 10
PERIOD = 1.0  # Seconds.


class FailureLog:
    """Of one child."""

    def __init__(self) -> None:
        self._since = -PERIOD
        self._written = 0

    def room(self) -> int:
        """How many failures to keep for the log; at least one, as Celery is told of that."""
        return max(1, MOST - self._written) if self._is_same_period() else MOST

    def write(self, batch: Batch, failures: Failures) -> int:
        """Write the failures of a batch down.

        Returns:
            How many were left out.
        """
        if not self._is_same_period():
            self._since, self._written = time.monotonic(), 0
        written = failures.kept[: MOST - self._written]
        self._written += len(written)
        if written:
            # Needed only where something has failed.
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
    """The calls that raised and have no line in the log, of all children of one worker."""

    def __init__(self) -> None:
        self._calls = 0

    def add(self, calls: int) -> None:
        """Count some."""
        self._calls += calls

    def write(self) -> None:
        """Say how many they were since this was last asked for."""
        calls, self._calls = self._calls, 0
        if calls:
            logger.warning(
                "%d more calls raised, whose tracebacks are left out here: a process writes no "
                "more than %d in a second",
                calls,
                MOST,
            )


left_out = LeftOut()
