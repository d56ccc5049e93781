"""What the future of a chunk resolves to, on every engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distribute_challenge.core.futures import Future

__all__ = ["ChunkResult"]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """How far an engine has come with a chunk, which is consecutive calls of one `map`.

    The calls of a chunk are in three groups, in this order: those that have ended, those that still
    run, and those that the engine gives back. The map submits those of the last group again, in
    other chunks. The last two groups are empty if the engine runs every chunk to its end.

    Args:
        outcomes: The outcomes of the calls that have ended: values, and a `Failure` for each call
            that failed. There is at least one, unless calls still run.
        following: The future of the calls that still run; None: no call does.
        running: Number of the calls that still run.
        size: Bytes of the values among the outcomes on their way; 0 if it is not known.
    """

    outcomes: Sequence[Any]
    following: "Future[ChunkResult] | None" = None
    running: int = 0
    size: int = 0
