"""What becomes of calls, on an engine that tests drive by hand; tests/contract has the real ones."""

import gc
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, compute_this
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.recording import is_recording, recorded, recording
from distribute_challenge.errors import Attempt, WorkerLostError
from distribute_challenge.reporting import study as reporting_study
from distribute_challenge.reporting.study import Study
from distribute_challenge.serialisation import dumps_plain
from tests.forks import ended, fork
from tests.maps import ByHand, double

STAGES = 1.0, 2.0, 3.0, 5.0, 6.0, "w@h/1"


@pytest.fixture
def study() -> Iterator[Study]:
    study = Study()
    with recording(study):
        yield study
    assert not is_recording()


@pytest.fixture
def held() -> ByHand:
    return ByHand()


def figures(study: Study) -> tuple[int, int, int]:
    """Calls, failed and cancelled ones, without those that `submitted` cancels."""
    found = study.functions["double"]
    return found.calls, found.failed, found.cancelled


def submitted(held: ByHand, calls: int) -> Future[Any]:
    """The future of a recorded chunk."""
    task = double.with_options(backend=held)(1)._task(held)
    arguments = dumps_plain([(number,) for number in range(calls)])
    assert arguments is not None
    future: Future[Any] = Future("double")
    return recorded(task._replace(chunk=calls, arguments=arguments), future)


def test_calls_that_have_not_ended_are_open(study: Study, held: ByHand) -> None:
    first, second = double(1).submit(held), double(2).submit(held)
    held.waiting[0][1].resolve(2, STAGES)
    study.close()
    assert (figures(study), study.open) == ((1, 0, 0), 1)
    assert first.done()
    second.resolve(4)  # Too late to be counted.
    double(3).submit(held)
    assert (figures(study), study.open) == ((1, 0, 0), 1)
    assert study.seconds >= 0


def test_cancelled_calls_are_counted_apart(study: Study, held: ByHand) -> None:
    double(1).submit(held)
    held.waiting[0][1].cancel()
    study.close()
    assert (figures(study), study.open) == ((1, 0, 1), 0)


def test_a_future_whose_callbacks_have_not_run_yet_is_counted_at_the_end(held: ByHand) -> None:
    """A thread that has ended a future wakes those who wait first."""

    class Late(Future[int]):
        def when_done(self, callback: Any) -> None:
            pass

    study, late = Study(), Late("double")
    double(1).submit(held)
    task, _ = held.waiting.pop()
    study.submitted(task, late)
    late.resolve(2)
    gone = Late("double")
    study.submitted(task, gone)
    del gone
    gc.collect()
    study.close()
    assert (figures(study), study.open) == ((1, 0, 0), 1)


def test_a_chunk_is_counted_as_its_number_of_calls_with_their_mean_time(
    study: Study, held: ByHand
) -> None:
    future = submitted(held, 4)
    error = ValueError("no")
    future.result_size = 30
    future.resolve(ChunkResult([1, Failure(error), Failure(error), 2]), STAGES)
    found = study.functions["double"]
    assert figures(study) == (4, 2, 0)
    assert (found.running.count, found.running.longest) == (4, 0.5)
    assert (found.results.count, found.results.largest) == (2, 15)
    (kind,) = study.failures.kinds.values()
    assert (kind.count, kind.worker, kind.call) == (2, "w@h/1", "double(1)")
    (bar,) = study.lanes.bars()
    assert (bar.start, bar.end, bar.calls, bar.failed) == (3.0, 5.0, 4, 2)


def test_calls_of_a_chunk_that_end_later_are_counted(study: Study, held: ByHand) -> None:
    future, following = submitted(held, 5), Future[ChunkResult]("double")
    future.resolve(ChunkResult([1], following, 2), STAGES)
    assert figures(study) == (1, 0, 0)
    following.resolve(ChunkResult([2]), STAGES)
    assert figures(study) == (2, 0, 0)
    empty = submitted(held, 5)
    empty.resolve(ChunkResult([], Future("double"), 2))
    study.close()
    assert (figures(study), study.open) == ((2, 0, 0), 2)


def test_a_lost_chunk_that_is_sent_again_is_not_counted_before(study: Study, held: ByHand) -> None:
    lost = WorkerLostError("gone", attempts=[Attempt("w@h/7", 0.0, 1.0, "killed", 1, {})])
    submitted(held, 3).fail(lost)
    assert "double" not in study.functions
    submitted(held, 1).fail(lost)
    assert figures(study) == (1, 1, 0)
    (kind,) = study.failures.kinds.values()
    assert (kind.worker, kind.call) == ("w@h/7", "double(0)")


def test_a_call_of_a_chunk_too_large_to_look_through_has_no_arguments(
    study: Study, held: ByHand
) -> None:
    outcomes: list[Any] = [0] * 20_000
    outcomes[-1] = Failure(ValueError("no"))
    submitted(held, len(outcomes)).resolve(ChunkResult(outcomes))
    (kind,) = study.failures.kinds.values()
    assert (kind.call, kind.worker) == ("double(...)", "")


def test_arguments_are_not_kept_after_the_end(study: Study, held: ByHand) -> None:
    """Although a future keeps its callbacks."""
    future = double(1).submit(held)
    (call,) = study._waiting
    assert call.task is not None
    held.waiting[0][1].resolve(2)
    assert future.result() == 2
    assert call.task is None


def test_a_child_of_a_fork_records_nothing(study: Study) -> None:
    assert ended(fork(is_recording)) == 0
    assert is_recording()


def test_a_call_made_by_run_of_a_backend_is_counted(study: Study) -> None:
    class Now(ExecutionBackend):
        def submit(self, task: Task) -> Future[Any]:
            future: Future[Any] = Future("double")
            future.resolve(2)
            return future

    assert Now().run(pickle.dumps(abs), (-2,), {}) == 2
    assert study.functions["abs"].calls == 1


def test_a_call_inside_a_call_is_a_part_of_it(study: Study) -> None:
    @compute_this
    def quadruple(x: int) -> int:
        return 2 * double(x).compute()

    assert quadruple(1).compute("local") == 4
    assert list(study.functions) == ["quadruple"]


class SlowError(Exception):
    """Its text takes until a test says so."""

    begun, goes_on = threading.Event(), threading.Event()

    def __str__(self) -> str:
        self.begun.set()
        assert self.goes_on.wait(60)
        return "slow"


@pytest.mark.parametrize("within", [0.0, 60.0])
def test_the_end_waits_a_while_for_failures_that_are_being_noted(
    held: ByHand, monkeypatch: pytest.MonkeyPatch, within: float
) -> None:
    monkeypatch.setattr(reporting_study, "COUNT_WITHIN", within)
    SlowError.begun.clear()
    SlowError.goes_on.clear()
    study = Study()
    with recording(study):
        double(1).submit(held)
    ending = threading.Thread(target=held.waiting[0][1].fail, args=(SlowError(),))
    ending.start()
    assert SlowError.begun.wait(60)
    closing = threading.Thread(target=study.close)
    closing.start()
    if not within:
        closing.join(60)
        assert not closing.is_alive()
    SlowError.goes_on.set()
    closing.join(60)
    ending.join(60)
    assert [kind.text for kind in study.failures.kinds.values()] == ["slow"]
