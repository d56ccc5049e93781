"""Large results: how they reach the client, and what becomes of unwanted ones."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import (
    StoreFullError,
    ValueLostError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.serialisation import outcomes
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken
from tests.execution_backends.celery.large_values.helpers import ARRAY, Place, double, mapped
from tests.stores.shared_memory.files import values_below

pytestmark = pytest.mark.slow

Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.usefixtures("sees")
def test_a_large_result_travels_through_shared_memory(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """It is the caller's own: the folder has nothing of it any more."""
    future = double(ARRAY).submit(backend)
    (frame,) = (taken := worker.take()).replies()
    assert len(frame) < 1000
    assert taken.batch.reply_to == f"distribute_challenge:replies:{backend._connected().id}"
    taken.push(frame)
    result = future.result(DEADLINE)
    eventually(lambda: place.is_empty)
    result += 1
    assert numpy.array_equal(result, ARRAY * 2 + 1)
    text = compute_this(lambda: "x" * 2_000_000)().submit(backend)
    (frame,) = (taken := worker.take()).replies()
    assert len(frame) < 1000
    taken.push(frame)
    assert text.result(DEADLINE) == "x" * 2_000_000


@pytest.mark.usefixtures("sees")
def test_results_that_no_caller_waits_for_are_freed(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """A broker may deliver a message twice."""
    future = double(ARRAY).submit(backend)
    taken = worker.take()
    taken.run()
    future.result(DEADLINE)
    taken.run()
    eventually(lambda: worker.connection.llen(taken.batch.reply_to) == 0)
    eventually(lambda: place.is_empty)


def test_a_result_that_is_gone_fails_its_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place
) -> None:
    """Another program may have tidied up."""
    future = double(ARRAY).submit(backend)
    taken = worker.take()
    frames = list(taken.replies())
    for path in values_below(place.path):
        path.unlink()
    for frame in frames:
        taken.push(frame)
    with pytest.raises(ValueLostError, match="gone from where its worker put it"):
        future.result(DEADLINE)


def test_a_map_result_that_was_deleted_is_a_value_lost_error(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place
) -> None:
    def answer(taken: Taken) -> None:
        frames = list(taken.replies())
        for path in values_below(place.path):
            path.unlink()
        for frame in frames:
            taken.push(frame)

    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(list, double.map([ARRAY], on_error="return", backend=backend))
        worker.serve([results], answer)  # type: ignore[list-item] # it asks whether it is done
    (result,) = results.result()
    assert isinstance(result, ValueLostError)
    assert "gone from where its worker put it" in str(result)


def test_a_large_result_of_a_worker_without_shared_memory_travels_in_its_reply(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The caller can write to it."""
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    future = compute_this(lambda x: [x * 2, "small", x[:3] * 2])(ARRAY).submit(backend)
    worker.serve([future])
    large, _, small = future.result()
    for array in (large, small):
        array += 1
    assert numpy.array_equal(large, ARRAY * 2 + 1)
    assert small.tolist() == [1, 3, 5]


def test_results_larger_than_a_reply_may_be_travel_in_several_replies(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """This holds for maps and for calls that share a message. Each call gets its own outcome."""
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    monkeypatch.setattr(outcomes, "MOST_IN_A_REPLY", 1_000_000)
    replies: list[int] = []

    def answer(taken: Taken) -> None:
        frames = list(taken.replies())
        replies.append(len(frames))
        for frame in frames:
            taken.push(frame)

    @compute_this
    def make(x: int) -> Any:
        if x % 3 == 2:
            raise ValueError(x)
        return "x" * 400_000 if x % 2 else ARRAY + x

    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(
            list, make.map(range(12), batch_size=12, on_error="return", backend=backend)
        )
        worker.serve([results], answer)  # type: ignore[list-item]
    for number, result in enumerate(results.result()):
        assert_made(number, result)
    assert max(replies) > 2
    replies.clear()
    futures = [make(number).submit(backend) for number in range(60)]
    worker.serve(futures, answer)
    for number, future in enumerate(futures):
        assert_made(number, future.exception() or future.result())
    assert max(replies) > 1


def assert_made(number: int, result: Any) -> None:
    if number % 3 == 2:
        assert isinstance(result, ValueError)
    elif number % 2:
        assert result == "x" * 400_000
    else:
        assert result[0] == number


def test_a_result_that_redis_does_not_take_fails_its_call_alone(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It says what to do."""
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    monkeypatch.setattr(outcomes, "LARGEST_IN_REDIS", 300_000)
    small, large = mapped(
        worker, double.map([ARRAY[:3], ARRAY], batch_size=2, on_error="return", backend=backend)
    )
    assert len(small) == 3
    assert isinstance(large, StoreFullError)
    assert "the result of double has 400.1 kB" in str(large)
    results = mapped(
        worker, double.map(["x" * 100_000] * 3, batch_size=3, on_error="return", backend=backend)
    )
    assert [type(result) for result in results] == [str] * 3
