"""What became of a call in another process."""

from typing import Any

from distribute_challenge.core.outcome import Failure


def failure(outcome: Any, kind: type[BaseException]) -> str:
    """The text and notes of a failed call's error."""
    assert isinstance(outcome, Failure), outcome
    assert isinstance(outcome.error, kind), outcome.error
    return "\n".join([str(outcome.error), *getattr(outcome.error, "__notes__", [])])
