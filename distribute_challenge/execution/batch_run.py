"""One batch while a worker process runs it, and the replies to it."""

from array import array
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from typing import Any, NamedTuple, Protocol

from distribute_challenge.core import clock
from distribute_challenge.core.failures import Failures, call_of, place_of
from distribute_challenge.core.messages import Batch, Problem, ProblemKind, Reply
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.references import Reference
from distribute_challenge.core.section import Section
from distribute_challenge.errors import CallCancelledError, ValueMissingError
from distribute_challenge.execution.watchdog import Progress
from distribute_challenge.serialisation import LARGE_BUFFER, Keep, Open, dumps_plain
from distribute_challenge.serialisation.outcomes import encode_outcomes, pieces_of

__all__ = ["BatchRun", "CallLogs", "FunctionMissingError", "LargeValues"]


class FunctionMissingError(Exception):
    """This process has no function of a digest, and cannot fetch it."""


class LargeValues(Protocol):
    """The access to large values that an engine with stores gives to `execute`."""

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        """Return the bytes of a value, which must not be written to.

        Args:
            reference: What the message carries in place of the value.
            places: Names of the client's stores, from the header of the batch.

        Raises:
            ValueMissingError: The value is in none of these stores, as far as this machine sees.
        """

    def keep(self, buffer: memoryview, places: Sequence[str], *, stays: bool) -> Reference | None:
        """Put a part of a result into a store where the client finds it.

        Args:
            buffer: The bytes of the part.
            places: Names of the client's stores, from the header of the batch.
            stays: Whether only other calls need the part, so that it goes to a store that all
                workers see if it goes to no other.

        Returns:
            The reference for the reply; None if no store takes the part: then it travels in the
                reply.
        """


class CallLogs(Protocol):
    """Receives the progress of calls from `execute`, for an engine that sends clients the output.

    Attributes:
        has_printed: Whether a call has printed something.
    """

    @property
    def has_printed(self) -> bool: ...

    def follow(self, ended: Sized) -> None:
        """Called when the calls begin; ``ended`` grows by one with each call that ends."""

    def end_call(self) -> None:
        """Called when a call has ended, once any call has printed; not for calls of a chunk."""


class _Large(NamedTuple):
    """The functions by which a batch reads large values, and stores those of its results."""

    open: Open | None
    keep: Keep | None

    @classmethod
    def of(cls, batch: Batch, values: LargeValues | None) -> "_Large":
        if values is None:
            return cls(None, None)
        return cls(
            partial(values.open, places=batch.places),
            partial(values.keep, places=batch.places, stays=batch.stays),
        )


class BatchRun:
    """One batch that `execute` runs, and its replies.

    Args:
        batch: The batch to run.
        worker: Name of this process.
        values: Access to large values; None if they stay in the messages.
        failures: Records failures; None: they are not recorded.

    Attributes:
        progress: The progress of the batch.
        started: When the batch began, in seconds since the epoch.
        finishes: When each call ended, in seconds since the epoch; unused for a chunk.
        large: Access to large values for this batch.
    """

    def __init__(
        self,
        batch: Batch,
        worker: str,
        values: LargeValues | None,
        failures: Failures | None = None,
    ) -> None:
        self._failures = failures
        self._values = values
        self.batch = batch
        self.worker = worker
        self.large = _Large.of(batch, values)
        self.started = clock.now()
        self.finishes = array("d")
        # It must not refer to this object: a batch that is over must be freed at once, and not when
        # the garbage collector runs.
        self.progress = Progress(batch.calls, batch.patience)

    def replies(self, first: int, outcomes: list[Any], *, ended: bool = True) -> Iterator[bytes]:
        """Encode outcomes as one reply, or as several if one would be too large for Redis.

        Args:
            first: Index of the first call of the outcomes.
            outcomes: The outcomes of consecutive calls.
            ended: Whether these are the last outcomes of the batch.
        """
        batch = self.batch
        started, finishes = self._times(first, len(outcomes))
        pieces = list(pieces_of(self._encoded(first, outcomes), batch.name))
        done = 0
        for number, sections in enumerate(pieces, 1):
            is_last = number == len(pieces)
            end = done + sum(section.calls for section in sections)
            # A chunk is one task, and each of its replies carries its time; otherwise a reply
            # carries the times of its own calls.
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
        """Encode a reply that says why there are no outcomes, and record it as a failure.

        Args:
            kind: The kind of the problem.
            text: The reason, for people; or the keys or the digest that are missing.
        """
        problem = Problem(kind, text)
        if self._failures is not None:
            self._failures.problem = problem
        return Reply(self.batch.id, self.worker, self.started, problem=problem).encode()

    def missing(self, error: ValueMissingError | FunctionMissingError) -> bytes:
        """Encode a reply that names what this process cannot read: large values, or a function."""
        if isinstance(error, FunctionMissingError):
            return self.problem("function_missing", str(error))
        return self.problem("value_missing", " ".join(error.keys))

    def cancelled(self) -> bytes:
        """Encode a reply that says that the batch was cancelled."""
        return self.problem("cancelled", f"it was cancelled on {self.worker}")

    def send_ahead(self, send: Callable[[bytes], None], progress: Progress, kept: int) -> bool:
        """Send outcomes that are ready, and give back calls that were not begun.

        The watchdog's thread calls it while a call runs.

        Args:
            send: Sends a reply.
            progress: The progress of this batch.
            kept: How many calls this process will have answered in the end.

        Returns:
            Whether the outcomes went with the reply.
        """
        first, outcomes = progress.sent, progress.outcomes[progress.sent :]
        # Only outcomes that are pickled in one step, while no other thread runs: the running call
        # may be changing the others.
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

    def _encoded(self, first: int, outcomes: list[Any]) -> Iterator[Section]:
        """Encode outcomes; each section has outcomes of one function."""
        batch = self.batch
        if not batch.following:
            yield from encode_outcomes(
                outcomes, batch.name, self.large.keep, partial(self._noted, batch)
            )
            return
        for part, numbers in batch.parts():
            own = outcomes[max(numbers.start - first, 0) : max(numbers.stop - first, 0)]
            keep = _Large.of(part, self._values).keep
            yield from encode_outcomes(own, part.name, keep, partial(self._noted, part))

    def _noted(self, batch: Batch, failure: Failure) -> str:
        """Record a failure, and return a text for the client that says where it was raised."""
        is_known = failure.arguments is not None
        if self._failures is not None:
            if not is_known and isinstance(failure.error, CallCancelledError):
                self._failures.cancelled += 1
            else:
                self._failures.add(failure, batch.name)
        # For an item of a map, the client adds this text: only it knows which item it was.
        if batch.chunk or not is_known or (not batch.client and self.worker.startswith("local@")):
            return ""
        return f"in the call {call_of(failure, batch.name)}{place_of(self.worker)}"

    def _times(self, first: int, calls: int) -> tuple[float, "array[float]"]:
        """Return when call ``first`` began, and when each task from there on ended.

        A chunk is one task.
        """
        if self.batch.chunk:
            return self.started, array("d", [clock.now()])
        return self.finishes[first - 1] if first else self.started, self.finishes[
            first : first + calls
        ]
