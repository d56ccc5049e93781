"""Functions, arguments and results that cannot be loaded, and results that cannot be pickled."""

import pickle
from typing import Any

import pytest

from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import SerialisationError
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.execution.batches import Missing, identity, make_lock, one, outcomes, payload_of

pytestmark = pytest.mark.usefixtures("one_reply")


def test_arguments_that_cannot_be_unpickled_fail_their_own_call() -> None:
    """The error has the reason."""
    payload = payload_of(identity)
    frame = Batch("b1", payload.digest, "f", [b"nonsense", pickle.dumps(one(1))]).encode()
    (reply,) = map(
        Reply.decode, execute(frame, FunctionCache({payload.digest: payload.payload}.get), "w")
    )
    first, second = decode_outcomes(reply)
    assert isinstance(first, Failure)
    assert second == 1


@pytest.mark.parametrize(("kind", "hint"), [(ModuleNotFoundError, True), (ValueError, False)])
def test_the_error_of_an_argument_that_cannot_be_loaded_has_a_note_that_says_so(
    kind: type[Exception], hint: bool
) -> None:
    """The error says what to do if a package is missing. It knows only the function's name."""
    (failed,) = outcomes(identity, [one(Missing(kind))])
    (note,) = failed.error.__notes__
    assert note.startswith("An argument of identity could not be loaded on the worker w.")
    assert ("PACKAGES" in note) is hint


def test_a_chunk_s_arguments_that_cannot_be_unpickled_fail_all_its_calls() -> None:
    """The worker cannot tell them apart."""
    payload = payload_of(identity)
    frame = Batch("b1", payload.digest, "f", [b"nonsense"], chunk=3).encode()
    (reply,) = map(
        Reply.decode, execute(frame, FunctionCache({payload.digest: payload.payload}.get), "w")
    )
    assert [type(outcome) for outcome in decode_outcomes(reply)] == [Failure] * 3


def test_a_missing_function_is_asked_for() -> None:
    """The client sends it again."""
    (frame,) = execute(
        Batch("b1", "unknown", "f", [b""]).encode(), FunctionCache(lambda digest: None), "w"
    )
    problem = Reply.decode(frame).problem
    assert problem is not None
    assert (problem.kind, problem.text) == ("function_missing", "unknown")


def test_a_batch_of_another_python_is_answered_and_not_run() -> None:
    """The answer has both versions."""
    frame = Batch("b1", "d", "f", [b""], python="2.7").encode()
    (reply,) = map(Reply.decode, execute(frame, FunctionCache(lambda digest: None), "w"))
    assert reply.problem is not None
    assert reply.problem.kind == "version"
    assert "2.7" in reply.problem.text


def test_a_function_that_cannot_be_loaded_fails_each_call_with_a_note() -> None:
    """What it imports may be missing."""
    cache = FunctionCache({"d": b"nonsense"}.get)
    (reply,) = map(Reply.decode, execute(Batch("b1", "d", "f", [b"", b""]).encode(), cache, "w7"))
    first, second = decode_outcomes(reply)
    assert "could not be loaded on the worker w7" in first.error.__notes__[0]
    assert type(second) is Failure
    assert len(reply.finishes) == 2


def test_a_result_that_cannot_be_pickled_is_its_own_call_s_failure() -> None:
    """Named by the function."""
    first, second, third = outcomes(make_lock, [one(0), one(1), one(2)])
    assert (first, third) == ({0}, {2})
    assert isinstance(second.error, SerialisationError)
    assert "the result of make_lock" in str(second.error)


class Unloadable:
    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise OSError("not here")


def test_a_result_that_cannot_be_unpickled_is_a_failure_with_a_note() -> None:
    """The call itself did succeed."""
    first, second = outcomes(lambda x: Unloadable() if x else x, [one(1), one(0)])
    assert isinstance(first.error, OSError)
    assert "The call succeeded on its worker" in first.error.__notes__[0]
    assert second == 0
