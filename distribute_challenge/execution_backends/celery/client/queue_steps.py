"""Carries out the steps of a queue of items, again and again while the broker is away.

Guarantees: safe for threads. Each thread that waits has a connection of its own.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.execution_backends.celery.broker.absence import Absence
from distribute_challenge.execution_backends.celery.broker.connection import (
    reconnect_pause,
    translate,
)
from distribute_challenge.execution_backends.celery.broker.queues import (
    QueueGoneError,
    QueueRecord,
    Token,
)

__all__ = ["LONGEST_WAIT", "QueueSteps", "is_over"]

# Seconds of one wait. A token is lost if the process that takes it dies at once; then another
# process goes on after this time.
LONGEST_WAIT = 5.0
SHORTEST_WAIT = 0.01  # Seconds; 0 would be a wait without an end.

T = TypeVar("T")


class QueueSteps:
    """The steps of one queue; `SharedQueue` takes them.

    Args:
        record: The queue in Redis.
        url: The broker.
        check: Raises an error if the cluster died.

    Attributes:
        record: As given.
        make: Makes the queue again if it is gone; None: it is another client's, and has ended then.
        is_closed: Whether the backend was closed: its connections are cut.
    """

    def __init__(self, record: QueueRecord, url: str, check: Callable[[], None]) -> None:
        self.record = record
        self.make: Callable[[QueueRecord], object] | None = None
        self.is_closed = False
        self._url = url
        self._check = check

    def answered(self, step: Callable[[QueueRecord], T], deadline: float | None = None) -> T:
        """Carry out a step, and repeat it while the broker is away.

        Args:
            step: The step. Repeated, it has no second effect.
            deadline: When to stop, by `clock.monotonic`; None: as `Absence` says.

        Raises:
            ShutDown: The queue is gone with its client, or its backend was closed.
            SystemFailureError: The broker does not answer, or refuses.
        """
        absence = Absence(self._url)
        while True:
            try:
                return step(self.record)
            except QueueGoneError:
                if self.make is None:
                    raise ShutDown(
                        "the queue is gone: it was deleted, or its client has ended"
                    ) from None
                self.answered(self.make, deadline)
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                if self.is_closed:
                    raise ShutDown("the queue's backend was closed") from None
                self._check()  # An embedded broker that is gone does not come back.
                failure = absence.note(error)
                if failure is None and is_over(deadline):
                    failure = translate(self._url, error)
                if failure is not None:
                    raise failure from None
                time.sleep(reconnect_pause())
            except redis.RedisError as error:
                raise translate(self._url, error) from None

    def wait(
        self,
        token: Token,
        deadline: float | None,
        longest: float | None = None,
        consumers: str = "",
    ) -> bool:
        """Wait for a token once, and return whether it came.

        Args:
            token: Which one, as for `QueueRecord.wait`.
            deadline: When to stop waiting, by `clock.monotonic`; None: after `LONGEST_WAIT`.
            longest: Seconds to wait at most; None: no other limit.
            consumers: As for `QueueRecord.wait`.
        """
        within = LONGEST_WAIT if longest is None else min(longest, LONGEST_WAIT)
        if deadline is not None:
            within = min(within, deadline - clock.monotonic())
        return self.answered(
            lambda record: record.wait(token, max(within, SHORTEST_WAIT), consumers), deadline
        )


def is_over(deadline: float | None) -> bool:
    """Whether a deadline is over; it never is if there is none."""
    return deadline is not None and clock.monotonic() >= deadline
