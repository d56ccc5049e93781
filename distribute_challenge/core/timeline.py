"""When a call went through which stage.

Written by both ends, read by benchmarks and diagnostics.
"""

from dataclasses import dataclass

__all__ = ["Timeline"]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The life of one call (or of one chunk of a `map`), in seconds since the epoch.

    Attributes:
        created: The client pickled the arguments.
        sent: The client handed the message to the broker.
        started: The worker began to run it.
        finished: The worker had its outcome.
        received: The client had the reply.
        worker: Name of the worker process that ran it, as ``"name@host/pid"``.

    ``created``, ``sent`` and ``received`` are the client's clock, the other two the worker's.

    Examples:
        >>> timeline = Timeline(1.0, 2.0, 4.0, 7.0, 7.5, "w1@host/12")
        >>> timeline.waiting, timeline.running, timeline.returning
        (3.0, 3.0, 0.5)
    """

    created: float
    sent: float
    started: float
    finished: float
    received: float
    worker: str

    @property
    def waiting(self) -> float:
        """Seconds from creation to start on the worker."""
        return self.started - self.created

    @property
    def running(self) -> float:
        """Seconds on the worker."""
        return self.finished - self.started

    @property
    def returning(self) -> float:
        """Seconds from the end on the worker to the reply's arrival."""
        return self.received - self.finished
