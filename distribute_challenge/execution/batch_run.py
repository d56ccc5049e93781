"""A batch on its way through a worker process, and the replies to it."""

from array import array
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from typing import Any, NamedTuple, Protocol

from distribute_challenge.core import clock
from distribute_challenge.core.failures import Failures, call_of, place_of
from distribute_challenge.core.messages import Batch, Problem, ProblemKind, Reply, Section
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.references import Reference
from distribute_challenge.errors import CallCancelledError, ValueMissingError
from distribute_challenge.execution.watchdog import Progress
from distribute_challenge.serialisation import LARGE_BUFFER, Keep, Open, dumps_plain
from distribute_challenge.serialisation.outcomes import encode_outcomes, pieces_of

__all__ = ["BatchRun", "CallLogs", "LargeValues"]


class LargeValues(Protocol):
    """What `execute` asks of an engine whose clients keep large values in stores."""

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        """The bytes of a value, not to be written to.

        Raises:
            ValueMissingError: It lies in none of these places, as far as this machine sees.
        """

    def keep(self, buffer: memoryview, places: Sequence[str]) -> Reference | None:
        """Put a part of a result where the client finds it; None if no place will have it: it
        travels in the reply.
        """


class CallLogs(Protocol):
    """What `execute` tells an engine that sends what calls print to their client.

    Attributes:
        has_printed: Whether a call has printed something.
    """

    @property
    def has_printed(self) -> bool: ...

    def follow(self, ended: Sized) -> None:
        """The calls begin; ``ended`` grows with each of them that ends."""

    def end_call(self) -> None:
        """A call has ended; told of those that are no part of a chunk, from the first on that has
        printed something.
        """


class _Large(NamedTuple):
    """How a batch gets at large values, and where those that it makes go."""

    open: Open | None
    keep: Keep | None

    @classmethod
    def of(cls, batch: Batch, values: LargeValues | None) -> "_Large":
        if values is None:
            return cls(None, None)
        return cls(
            partial(values.open, places=batch.places), partial(values.keep, places=batch.places)
        )


class BatchRun:
    """One batch being run, and its replies.

    Args:
        batch: What to run.
        worker: Name of this process.
        values: How to get at large values; None where they stay in the messages.
        failures: Where failures are noted; None: nowhere.

    Attributes:
        progress: How far it is.
        started: Seconds since the epoch.
        finishes: When each of its calls ended, likewise; unused for a chunk.
        large: How it gets at large values.
    """

    def __init__(
        self,
        batch: Batch,
        worker: str,
        values: LargeValues | None,
        failures: Failures | None = None,
    ) -> None:
        self._failures = failures
        self.batch = batch
        self.worker = worker
        self.large = _Large.of(batch, values)
        self.started = clock.now()
        self.finishes = array("d")
        # It must not refer to this object: a batch that is over is to be freed at once, and not
        # when the garbage collector comes by.
        self.progress = Progress(batch.calls, batch.patience)

    def replies(self, first: int, outcomes: list[Any], *, ended: bool = True) -> Iterator[bytes]:
        """Outcomes as one reply; as several if they are so large that one would not fit into Redis."""
        batch = self.batch
        started, finishes = self._times(first, len(outcomes))
        pieces = list(
            pieces_of(
                encode_outcomes(outcomes, batch.name, self.large.keep, self._noted), batch.name
            )
        )
        done = 0
        for number, sections in enumerate(pieces, 1):
            is_last = number == len(pieces)
            end = done + sum(section.calls for section in sections)
            # A chunk is one task, whose time every piece of it tells; else each has the times of
            # its own calls.
            own = finishes if batch.chunk else finishes[done:end]
            yield Reply(
                batch.id,
                self.worker,
                finishes[done - 1] if done and not batch.chunk else started,
                first=first + done,
                sections=sections,
                finishes=own,
                ended=ended and is_last,
            ).encode()
            done = end

    def problem(self, kind: ProblemKind, text: str) -> bytes:
        """A reply that there is something else to be told than outcomes."""
        problem = Problem(kind, text)
        if self._failures is not None:
            self._failures.problem = problem
        return Reply(self.batch.id, self.worker, self.started, problem=problem).encode()

    def value_missing(self, error: ValueMissingError) -> bytes:
        """A reply that names large values which are not to be had here."""
        return self.problem("value_missing", " ".join(error.keys))

    def cancelled(self) -> bytes:
        """A reply that nobody wants the outcomes of this batch any more."""
        return self.problem("cancelled", f"it was cancelled on {self.worker}")

    def send_ahead(self, send: Callable[[bytes], None], progress: Progress, kept: int) -> bool:
        """For the thread beside the one that runs the calls: send what has ended, and give back
        what was not begun.

        Args:
            send: Sends a reply.
            progress: This batch's.
            kept: How many calls will be answered here in the end.

        Returns:
            Whether what has ended could go with it.
        """
        first, outcomes = progress.sent, progress.outcomes[progress.sent :]
        # Only what is pickled in one go, while no other thread runs: the call that runs may be
        # changing the rest.
        plain = dumps_plain(outcomes) if Failure not in map(type, outcomes) else None
        sections = []
        if plain is not None and len(plain) < LARGE_BUFFER:
            sections = [Section("values", len(outcomes), plain)] if outcomes else []
        else:
            plain, outcomes = None, []
        started, finishes = self._times(first, len(outcomes))
        send(
            Reply(
                self.batch.id,
                self.worker,
                started,
                first=first,
                sections=sections,
                finishes=finishes,
                ended=False,
                kept=kept,
            ).encode()
        )
        return plain is not None

    def _noted(self, failure: Failure) -> str:
        """Note a failure down; what its exception says to the client of where it was raised."""
        batch, is_known = self.batch, failure.arguments is not None
        if self._failures is not None:
            if not is_known and isinstance(failure.error, CallCancelledError):
                self._failures.cancelled += 1
            else:
                self._failures.add(failure, batch.name)
        # Which item of a map it was only the client can say, which has its arguments, too.
        if batch.chunk or not is_known or (not batch.client and self.worker.startswith("local@")):
            return ""
        return f"in the call {call_of(failure, batch.name)}{place_of(self.worker)}"

    def _times(self, first: int, calls: int) -> tuple[float, "array[float]"]:
        """When the call of a number began, and when each task ended from there on; a chunk is one
        task.
        """
        if self.batch.chunk:
            return self.started, array("d", [clock.now()])
        return self.finishes[first - 1] if first else self.started, self.finishes[
            first : first + calls
        ]
