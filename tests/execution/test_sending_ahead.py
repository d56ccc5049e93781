"""What a worker sends or gives back while a batch still runs."""

import os
from collections.abc import Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.core.references import Reference
from distribute_challenge.errors import ValueMissingError
from distribute_challenge.execution import run as execution
from distribute_challenge.execution import watchdog
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute, inside_call
from distribute_challenge.serialisation import dumps, pack_plain
from distribute_challenge.serialisation.outcomes import decode_outcomes
from tests.execution.batches import frames, identity, one, outcomes, payload_of, replies

pytestmark = pytest.mark.usefixtures("one_reply")


def test_early_results_do_not_wait_for_slow_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go home while the rest runs."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", -1.0)
    several = replies(identity, [one(number) for number in range(3)])
    assert [(reply.first, reply.ended, decode_outcomes(reply)) for reply in several] == [
        (0, False, [0]),
        (1, False, [1]),
        (2, True, [2]),
    ]


def test_a_run_that_is_abandoned_may_be_closed_by_any_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The garbage collector may close it in a thread that knows nothing of the call."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", -1.0)
    abandoned = frames(identity, [one(number) for number in range(3)])
    copy_context().run(next, abandoned)
    abandoned.close()  # type: ignore[attr-defined] # a generator
    assert not inside_call()


def test_a_worker_gives_back_calls_that_it_could_not_begin_in_time() -> None:
    """Others may have room; it did at least one."""
    assert outcomes(identity, [one(number) for number in range(3)], patience=-1.0) == [0]
    assert outcomes(identity, [[(0,), (1,), (2,)]], chunk=3, patience=-1.0) == [0]


class Unknown:
    def __sizeof__(self) -> int:
        raise ValueError


def unknown_size(number: int) -> Unknown:
    return Unknown()


def thousand_bytes(number: int) -> bytes:
    return bytes(1000)


@pytest.mark.slow
def test_a_chunk_whose_results_are_large_gives_back_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client had expected small ones. A size that a class of the user's cannot tell is zero."""
    monkeypatch.setattr(execution, "LOOK_EVERY", -1.0)
    monkeypatch.setattr(execution, "LARGEST_GUESS", 2500)
    calls = [(number,) for number in range(10)]
    assert outcomes(thousand_bytes, [calls], chunk=10) == [bytes(1000)] * 3
    assert len(outcomes(unknown_size, [calls], chunk=10)) == 10


class Ahead:
    """What a worker sends while a call runs; that call ends when it has been sent."""

    def __init__(self, door: Path) -> None:
        self.replies: list[Reply] = []
        self._door = door

    def __call__(self, frame: bytes) -> None:
        self.replies.append(Reply.decode(frame))
        self._door.touch()


def wait_at(number: int, door: str) -> Any:
    """The third call waits; the second is no plain value if there is a door named so."""
    if number == 2:
        Path(door + ".begun").touch()
        while not os.path.exists(door):
            pass
    return 1j if number == 1 and door.endswith("odd") else number


def set_clock(monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """Let the second of a batch be over as soon as the call that waits has begun, and not before."""

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return 2.0 if os.path.exists(door + ".begun") else 0.0

    for module in (execution, watchdog):
        monkeypatch.setattr(module, "time", Clock)


@pytest.mark.parametrize("in_chunk", [True, False])
@pytest.mark.parametrize("name", ["plain", "odd"])
def test_calls_behind_a_slow_one_are_given_back_while_it_runs(
    tmp_path: Path, in_chunk: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain outcomes go with them: another thread must not pickle what the call may be changing."""
    door = str(tmp_path / name)
    set_clock(monkeypatch, door)
    payload = payload_of(wait_at)
    calls = [(number, door) for number in range(6)]
    arguments: list[Any] = [calls] if in_chunk else [(args, {}) for args in calls]
    blobs = [dumps(item, "arguments").data for item in arguments]
    batch = Batch(
        "b1", payload.digest, payload.name, blobs, chunk=6 if in_chunk else 0, patience=1.0
    )
    ahead, functions = Ahead(Path(door)), FunctionCache({payload.digest: payload.payload}.get)
    (last,) = map(Reply.decode, execute(batch.encode(), functions, "w", None, ahead))
    (first,) = ahead.replies
    assert (first.kept, first.ended, last.kept, last.ended) == (3, False, None, True)
    if name == "plain":
        assert (first.first, decode_outcomes(first), last.first, decode_outcomes(last)) == (
            0,
            [0, 1],
            2,
            [2],
        )
    else:
        assert (decode_outcomes(first), last.first, decode_outcomes(last)) == ([], 0, [0, 1j, 2])
    assert len(first.finishes) == (1 if in_chunk else len(decode_outcomes(first)))
    assert last.started <= last.finishes[-1]


def test_a_failure_before_a_slow_call_is_sent_together_with_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = tmp_path / "door"
    set_clock(monkeypatch, str(door))
    payload = payload_of(wait_at)
    blobs = [
        dumps((args, {}), "arguments").data for args in [(1, None), (2, str(door)), (3, str(door))]
    ]
    batch = Batch("b1", payload.digest, payload.name, blobs, patience=1.0)
    ahead, functions = Ahead(door), FunctionCache({payload.digest: payload.payload}.get)
    (last,) = map(Reply.decode, execute(batch.encode(), functions, "w", None, ahead))
    failure, value = decode_outcomes(last)
    assert isinstance(failure.error, AttributeError)
    assert value == 2
    assert ahead.replies[0].kept == 2


def test_a_slow_last_call_gives_nothing_back(tmp_path: Path) -> None:
    door = tmp_path / "door"
    door.touch()
    payload = payload_of(wait_at)
    blobs = [dumps(((2, str(door)), {}), "arguments").data]
    batch = Batch("b1", payload.digest, payload.name, blobs, patience=-1.0)
    functions = FunctionCache({payload.digest: payload.payload}.get)
    (last,) = map(Reply.decode, execute(batch.encode(), functions, "w", None, Ahead(door)))
    assert decode_outcomes(last) == [2]


class Gone:
    """Large values of which none is there."""

    def open(self, reference: Reference, places: Sequence[str]) -> memoryview:
        raise ValueMissingError([reference.key])

    def keep(self, buffer: memoryview, places: Sequence[str]) -> None:
        raise AssertionError


def test_outcomes_before_a_call_whose_value_is_missing_are_sent() -> None:
    """The client sends the rest again, with the value."""
    payload = payload_of(identity)
    missing = pack_plain(b"x" * 100_000, lambda buffer: Reference("key", len(buffer)))
    blobs = [dumps(one(1), "arguments").data, missing]
    functions = FunctionCache({payload.digest: payload.payload}.get)
    batch = Batch("b1", payload.digest, payload.name, blobs)
    first, last = map(Reply.decode, execute(batch.encode(), functions, "w", Gone()))
    assert decode_outcomes(first) == [1]
    assert not first.ended
    assert last.problem is not None
    assert last.problem.kind == "value_missing"
