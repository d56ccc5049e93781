"""What is known of one time that a call was sent and gave no outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Attempt"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a call was sent and did not come back.

    Args:
        worker: Name of the worker process that had it, or an empty string if nobody knows.
        sent: When it was sent, in seconds since the epoch.
        ended: When the client heard of its end, likewise.
        reason: What happened, for people.
        calls: How many calls without an outcome were in its message; above 1, nobody knows whether it was this one that did it.
        facts: What the worker knew about the end, by name: ``host``, ``pid``, ``signal`` or ``exit_code``, ``memory`` and ``limit``
            in bytes, ``out_of_memory``, ``log`` (lines), ``crash`` (text), ``worker_lost``. All of them may be missing.
    """

    worker: str
    sent: float
    ended: float
    reason: str
    calls: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
