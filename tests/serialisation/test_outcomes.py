"""Outcomes as sections of a reply, and back."""

from array import array
from typing import Any

import pytest

from distribute_challenge.core.messages import Reply
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation.outcomes import decode_outcomes, encode_outcomes


class Large:
    def __reduce_ex__(self, protocol: Any) -> Any:
        import pickle

        return bytes, (pickle.PickleBuffer(bytearray(1_000_000)),)


class CtrlC:
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_a_result_that_cannot_be_stored_for_want_of_memory_fails_its_call_alone() -> None:
    def keep(buffer: memoryview) -> Any:
        raise MemoryError("full")

    sections = list(encode_outcomes([Large(), 1], "f", keep))
    first, second = decode_outcomes(
        Reply("", "", 0.0, sections=sections, finishes=array("d", [0.0, 0.0]))
    )
    assert isinstance(first.error, SerialisationError)
    assert str(first.error) == "the result of f cannot be sent: builtins.MemoryError: full"
    assert second == 1


def test_a_keyboard_interrupt_while_a_result_is_pickled_is_raised() -> None:
    """The `local` engine pickles in the client's own main thread."""
    with pytest.raises(KeyboardInterrupt):
        list(encode_outcomes([CtrlC()], "f"))
