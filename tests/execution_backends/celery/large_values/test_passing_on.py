"""Large results that only go to other calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.stores import shared_memory_identity
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken
from tests.execution_backends.celery.large_values.helpers import ARRAY, Place, double, show, total

Eventually = Callable[[Callable[[], bool]], None]


class OnlyThere:
    """Cannot be unpickled in this test's thread, which stands for a client without the class."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return _there, (self.data,)


def _there(data: Any) -> OnlyThere:
    assert not data.flags.writeable, "an argument of a call"
    return OnlyThere(data)


@compute_this
def wrap(data: Any) -> OnlyThere:
    return OnlyThere(data * 2)


@compute_this
def unwrap(thing: OnlyThere) -> float:
    return float(thing.data.sum())


@pytest.mark.usefixtures("sees")
def test_a_passed_on_result_stays_in_shared_memory_until_its_last_call_ends(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """The client does not unpickle it."""
    frames: list[bytes] = []

    def answer(taken: Taken) -> None:
        frames.append(taken.frame)
        frames.extend(replies := list(taken.replies()))
        for frame in replies:
            taken.push(frame)

    future = unwrap(wrap(ARRAY[:50_000])).submit(backend)
    worker.serve([future], answer)
    assert future.result() == 2 * ARRAY.sum()
    assert max(map(len, frames)) < 10_000
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_the_value_of_a_future_is_kept_as_long_as_the_future(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """The caller's own copy is no other call's."""
    first = double(ARRAY).submit(backend)
    worker.serve([first])
    for number in range(3):
        sums = total(first).submit(backend)
        worker.serve([sums])
        assert sums.result() == 2 * ARRAY.sum()
        if number:
            first.result()[:] = 0
    del first, sums
    eventually(lambda: place.is_empty)


def test_a_passed_on_result_is_kept_in_redis_if_workers_share_no_memory(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    show(worker, "another machine's")
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    call = compute_this(lambda: ARRAY * 2)()
    future = total(call).submit(backend)
    (reply,) = (taken := worker.take()).replies()
    assert len(reply) < 1000
    assert len(place.redis) == 1
    taken.push(reply)
    worker.serve([future])
    assert future.result() == 2 * ARRAY.sum()
    eventually(lambda: place.is_empty)


def test_a_result_that_the_caller_may_use_goes_through_the_client(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    show(worker, "another machine's")
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    future = compute_this(lambda: ARRAY * 2)().submit(backend)
    worker.serve([future])
    sums = total(future).submit(backend)
    worker.serve([sums])
    assert sums.result() == 2 * ARRAY.sum()
    assert future.result()[1] == 2
    del future, sums
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("memory")
def test_results_can_be_read_after_the_backend_was_closed(
    server: Server, worker: FakeWorker
) -> None:
    show(worker, shared_memory_identity())
    with CeleryExecutionBackend(server.url) as backend:
        future = double(ARRAY).submit(backend)
        worker.serve([future])
        small = compute_this(lambda: {1, OnlyHere()})().submit(backend)
        worker.serve([small])
    assert numpy.array_equal(future.result(), ARRAY * 2)
    assert len(small.result()) == 2


class OnlyHere:
    pass


@pytest.mark.usefixtures("sees")
def test_a_repeated_reply_does_not_remove_the_result(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A worker sends it again when it does not know whether it arrived."""
    future = double(ARRAY).submit(backend)
    (frame,) = (taken := worker.take()).replies()
    taken.push(frame)
    taken.push(frame)
    worker.serve([compute_this(lambda: 1)().submit(backend)])
    assert numpy.array_equal(future.result(DEADLINE), ARRAY * 2)


@pytest.mark.usefixtures("sees")
def test_a_value_that_is_deleted_on_the_way_is_computed_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place
) -> None:
    """The calls that made it run again, from the first whose value is not there."""
    chain = compute_this(lambda data: data + 1)(double(ARRAY))
    future = total(chain).submit(backend)
    for _ in range(2):
        worker.take().run()
    taken = worker.take()
    for name in place.memory:
        next(place.path.glob(f"distribute_challenge-*/{name}")).unlink()
    taken.run()
    worker.serve([future])
    assert future.result() == (ARRAY * 2 + 1).sum()
