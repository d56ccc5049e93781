"""The part of a reply that has outcomes of consecutive calls."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from distribute_challenge.core.framing import Blob
from distribute_challenge.core.schema import number_up_to, row_of, text

__all__ = ["Section", "is_section"]


class Section(NamedTuple):
    """Outcomes of consecutive calls.

    ``kind`` is ``"values"`` (one pickled list), ``"plain"`` (one small built-in value),
    ``"value"``, ``"error"``, or ``"unbegun"`` (calls that were to follow others, but could not).
    ``beside`` are the large buffers of a value that lie in no store but travel in the reply;
    ``modules`` are those of the user's project that its pickle names. A reply without outcomes may
    have one section of the kind ``"log"``: lines that calls printed (`log_lines`).
    """

    kind: str
    calls: int
    blob: Blob
    beside: Sequence[Blob] = ()
    modules: Sequence[str] = ()


def is_section(value: Any) -> bool:
    """Whether a value from the header of a reply describes a section."""
    match value:
        case [kind, calls, beside, modules]:
            return kind in _KINDS and _number(calls) and _number(beside) and _names(modules)
    return False


_KINDS: Final = ("values", "plain", "value", "error", "unbegun", "log")
_number: Final = number_up_to()
_names: Final = row_of(text)
