"""The times at which a call passed its stages.

Client and worker write them; benchmarks and diagnostics read them.
"""

from dataclasses import dataclass

__all__ = ["Timeline"]


@dataclass(frozen=True, slots=True, repr=False)
class Timeline:
    """The times of one call (or of one chunk of a `map`), in seconds since the epoch.

    Attributes:
        created: When the client pickled the arguments.
        sent: When the client handed the message to the broker.
        started: When the worker began to run the call.
        finished: When the worker had its outcome.
        received: When the client had the reply.
        worker: Name of the worker process that ran the call, as ``"name@host/pid"``.

    ``created``, ``sent`` and ``received`` are by the client's clock, the other two by the worker's.

    Examples:
        >>> timeline = Timeline(1.0, 2.0, 4.0, 7.0, 7.5, "w1@host/12")
        >>> timeline
        Timeline(waiting 3.00 s, running 3.00 s, returning 500 ms, worker w1@host/12)
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
        """Seconds from the creation of the call to its start on the worker."""
        return self.started - self.created

    @property
    def running(self) -> float:
        """Seconds for which the worker ran the call."""
        return self.finished - self.started

    @property
    def returning(self) -> float:
        """Seconds from the end on the worker to the reply's arrival."""
        return self.received - self.finished

    def __repr__(self) -> str:
        from distribute_challenge.core.units import seconds  # Few programs show one.

        return (
            f"Timeline(waiting {seconds(self.waiting)}, running {seconds(self.running)}, "
            f"returning {seconds(self.returning)}, worker {self.worker})"
        )
