"""Clients free large arguments that no call needs any more, however their calls end."""

import gc
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from distribute_challenge import compute_this, put
from distribute_challenge.errors import (
    CallCancelledError,
    ValueLostError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client import values as client_values
from distribute_challenge.execution_backends.celery.client.outbox import Outbox
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker
from tests.execution_backends.celery.large_values.helpers import ARRAY, Place, mapped, total, write

pytestmark = pytest.mark.slow

Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.usefixtures("sees")
@pytest.mark.parametrize("text", ["x" * 1_500_000, b"x" * 1_500_000, list(range(500_000))])
def test_large_texts_and_lists_are_freed_when_their_call_has_ended(
    text: Any,
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    eventually: Eventually,
) -> None:
    future = compute_this(len)(text).submit(backend)
    assert len(place.memory) == 1
    taken = worker.take()
    assert len(taken.frame) < 1000
    taken.run()
    assert future.result(DEADLINE) == len(text)
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_large_arguments_are_freed_after_an_error_of_their_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """The argument goes also while the user keeps the future with its exception.

    The error explains that the argument may not be written to.
    """
    future = write(ARRAY).submit(backend)
    worker.serve([future])
    error = future.exception()
    assert isinstance(error, ValueError)
    assert "work on a copy" in str(error.__notes__)
    eventually(lambda: place.is_empty)
    (error,) = mapped(worker, write.map([ARRAY], on_error="return", backend=backend))
    assert "work on a copy" in str(error.__notes__)
    eventually(lambda: place.is_empty)


def test_errors_unrelated_to_read_only_arguments_get_no_explanation(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Errors of calls without large values are not explained, either."""
    small = write(numpy.frombuffer(b"12345678")).submit(backend)
    wrong = compute_this(lambda x: int("read-only" if x is None else "x"))(ARRAY).submit(backend)
    worker.serve([small, wrong])
    for future in (small, wrong):
        (place,) = future.exception().__notes__
        assert "work on a copy" not in place


@pytest.mark.usefixtures("sees")
def test_cancelling_a_call_frees_its_large_arguments(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Sent or not."""
    futures = [total(ARRAY).submit(backend) for _ in range(30)]
    eventually(lambda: worker.waiting() > 0)
    worker.serve([future for future in futures if not future.cancel()])
    assert any(future.cancelled() for future in futures)
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_closing_the_backend_frees_all_large_values_at_once(
    backend: CeleryExecutionBackend, place: Place
) -> None:
    future = total(ARRAY).submit(backend)
    shared = put(ARRAY + 1, backend)
    assert len(place.memory) == 2
    backend.close()
    assert list(place.path.iterdir()) == []
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)
    with pytest.raises(ValueLostError):
        shared.get()


@pytest.mark.usefixtures("sees")
def test_a_map_frees_the_arguments_of_ended_calls(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Chunks given back are sent again, and need theirs until then."""

    @compute_this
    def slow(x: Any, base: Any) -> float:
        import time

        time.sleep(0.3)
        return float(x[0] + base[0])

    results = slow.map(
        [ARRAY + number for number in range(4)], [ARRAY] * 4, batch_size=2, backend=backend
    )
    assert mapped(worker, results) == [0, 1, 2, 3]
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_a_captured_value_is_kept_as_long_as_its_function(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """It does not stay while the client remembers how long its calls took."""
    array = ARRAY.copy()
    function = compute_this(lambda x: float(array.sum()) + x)
    assert mapped(worker, function.map([1, 2], backend=backend)) == [
        ARRAY.sum() + 1,
        ARRAY.sum() + 2,
    ]
    future = function(3).submit(backend)
    worker.serve([future])
    assert len(place.memory) == 1
    array[0] = 5
    future = function(0).submit(backend)
    worker.serve([future])
    assert future.result() == ARRAY.sum() + 5
    eventually(lambda: len(place.memory) == 1)
    del function
    gc.collect()
    eventually(lambda: place.is_empty)
    assert Outbox.KEPT_GROUPS > 0
    assert len(worker.functions._entries) > 0


@pytest.mark.usefixtures("sees")
def test_a_map_keeps_what_its_function_captured_at_the_start(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """The user may replace it and call the function meanwhile."""
    array = ARRAY

    @compute_this
    def captured(x: Any) -> float:
        return float(array[x])

    results = captured.map(iter(range(3)), batch_size=1, backend=backend)
    array = ARRAY + 1
    future = captured(0).submit(backend)
    worker.serve([future])
    assert future.result() == 1
    eventually(lambda: len(place.memory) == 2)
    assert mapped(worker, results) == [0, 1, 2]
    eventually(lambda: len(place.memory) == 1)


@pytest.mark.usefixtures("sees")
def test_a_put_value_is_kept_as_long_as_its_handle_or_a_call_with_it(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """A call that got the handle keeps it, too."""
    shared = put(ARRAY, backend)
    future = total(shared).submit(backend)
    taken = worker.take()
    del shared
    gc.collect()
    looks = client_module.time.monotonic()
    eventually(lambda: client_module.time.monotonic() > looks + 5 * client_values.LOOK_EVERY)
    assert len(place.memory) == 1
    taken.run()
    assert future.result(DEADLINE) == ARRAY.sum()
    eventually(lambda: place.is_empty)
