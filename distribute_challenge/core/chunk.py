"""What a map knows of consecutive calls that travel together."""

from collections.abc import Sequence
from typing import Any

from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.failures import place_of
from distribute_challenge.core.futures import Future
from distribute_challenge.core.outcome import Failure, add_note
from distribute_challenge.core.signature import call_text
from distribute_challenge.errors import Attempt

__all__ = ["Chunk", "note_items"]


class Chunk:
    """Consecutive calls of a map that travel together.

    Args:
        calls: The arguments of the calls.
        first: Number of the first of them among all items.
        is_part: Whether they were sent as part of a larger chunk, so that the engine cannot send
            them again.
        attempts: Earlier attempts, in which they were sent with other calls and gave no outcome.

    Attributes:
        seconds: How long they ran; 0 as long as that is not known.
    """

    __slots__ = (
        "attempts",
        "calls",
        "first",
        "future",
        "is_done",
        "is_part",
        "seconds",
        "sent",
        "worker",
    )

    def __init__(
        self,
        calls: list[tuple[Any, ...]],
        first: int,
        *,
        is_part: bool = False,
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        self.calls = calls
        self.first = first
        self.attempts = attempts
        self.is_part = is_part
        self.future: Future[ChunkResult] | None = None
        self.is_done = False
        self.sent = self.seconds = 0.0
        self.worker = ""

    def cancel(self, *, force: bool) -> None:
        """Cancel its calls, as `Future.cancel` does, also those that still ran when others ended."""
        future = self.future
        while future is not None:
            is_over = future.cancel(force) or not future.done() or future.exception() is not None
            future = None if is_over else future.result().following


def note_items(chunk: Chunk, outcomes: Sequence[Any], name: str) -> None:
    """Add notes to the exceptions of a chunk: which items they belong to, and where these ran."""
    head, tail = outcomes[0], outcomes[-1]
    if len(outcomes) > 1 and type(head) is type(tail) is Failure and head.error is tail.error:
        add_note(head.error, f"items {chunk.first} to {chunk.first + len(outcomes) - 1} of {name}")
        return
    place = place_of(chunk.worker)
    for number, (outcome, args) in enumerate(zip(outcomes, chunk.calls, strict=False), chunk.first):
        if type(outcome) is Failure:
            add_note(outcome.error, f"item {number}: {call_text(name, args, {})}{place}")
