"""Many calls of one function."""

import gc
import threading
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.batching import (
    LARGEST,
    LARGEST_BYTES,
    LARGEST_RESULTS,
    LARGEST_UNKNOWN,
)
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import OptionError, ResultTimeoutError, WorkerLostError
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.mappable import total_of
from distribute_challenge.mapping import AHEAD
from tests.maps import Automatic, ByHand, counting, double, invert


@pytest.mark.filterwarnings("ignore::distribute_challenge.errors.NeverRunWarning")
def test_nothing_happens_before_the_first_result_is_asked_for() -> None:
    """A map is lazy."""
    backend, pulled = ByHand(), list[int]()
    double.map(counting(pulled), backend=backend)
    assert pulled == []
    assert not backend.waiting


def test_an_endless_source_is_pulled_only_as_far_as_needed() -> None:
    """Bounded by what is on its way, however long the consumer stays away."""
    pulled: list[int] = []
    results = double.map(counting(pulled), backend="local")
    assert [next(results) for _ in range(10)] == [2 * number for number in range(10)]
    assert len(pulled) < 10 * LARGEST
    before = len(pulled)
    results.close()
    assert len(pulled) == before


def test_results_come_in_order_whatever_ends_first() -> None:
    """While the first is late, others make room, up to a bound."""
    backend, pulled = ByHand(), list[int]()
    results = double.map(counting(pulled), batch_size=1, backend=backend)
    got: list[int] = []
    consumer = threading.Thread(target=lambda: got.append(next(results)))
    consumer.start()
    most = AHEAD * (2 * backend.concurrency + 2)
    deadline = threading.Event()
    for _ in range(most - 1):
        while len(backend.waiting) < 2:
            assert not deadline.wait(0.001)
        backend.finish(position=1)
    while len(backend.waiting) > 1:
        backend.finish(position=1)
    assert got == []
    assert len(pulled) <= most
    backend.finish()
    consumer.join(60)
    assert got == [0]
    results.close()


def test_unordered_results_come_as_they_end() -> None:
    """The late one last."""
    backend = ByHand()
    results = double.map(range(3), ordered=False, batch_size=1, backend=backend)
    got: list[int] = []
    consumer = threading.Thread(target=lambda: got.extend(results))
    consumer.start()
    pause = threading.Event()
    while len(backend.waiting) < 3:
        assert not pause.wait(0.001)
    for position in (2, 1, 0):
        backend.finish(position)
    consumer.join(60)
    assert got == [4, 2, 0]


@pytest.mark.parametrize("ordered", [True, False])
def test_the_rest_of_a_partly_finished_chunk_is_sent_again(ordered: bool) -> None:
    """Its rest goes out again, in its place."""
    backend = Automatic(lambda numbers: 1 if len(numbers) > 2 else None)
    results = list(double.map(range(20), ordered=ordered, batch_size=5, backend=backend))
    assert (results if ordered else sorted(results)) == [2 * number for number in range(20)]
    assert max(backend.sizes) == 5


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_closing_or_dropping_cancels_what_has_not_begun(leave: str) -> None:
    """The map takes no more items from its input."""
    backend, pulled = ByHand(), list[int]()
    results = double.map(counting(pulled), batch_size=1, backend=backend)
    finisher = threading.Thread(target=lambda: _finish_first(backend))
    finisher.start()
    assert next(results) == 0
    finisher.join(60)
    futures = [future for _, future in backend.waiting]
    before = len(pulled)
    assert futures
    if leave == "close":
        results.close()
    else:
        del results
        gc.collect()
    assert all(future.cancelled() for future in futures)
    assert len(pulled) == before


def _finish_first(backend: ByHand) -> None:
    pause = threading.Event()
    while not backend.waiting:
        pause.wait(0.001)
    backend.finish()


def test_batch_size_sets_the_calls_of_each_chunk() -> None:
    """The last has the rest."""
    backend = Automatic(lambda numbers: None)
    list(double.map(range(10), batch_size=4, backend=backend))
    assert backend.sizes == [4, 4, 2]


def test_chunks_start_with_one_call_and_grow() -> None:
    """They grow where calls are short."""
    backend = Automatic(lambda numbers: None)
    assert len(list(double.map(range(2000), backend=backend))) == 2000
    assert backend.sizes[0] == 1
    assert max(backend.sizes) > 8


@pytest.mark.parametrize(
    ("result_size", "most"),
    [(0, LARGEST_UNKNOWN), (1, LARGEST), (LARGEST_RESULTS // 100, 100)],
    ids=["unknown", "small", "large"],
)
def test_the_size_of_the_results_bounds_the_calls_of_a_chunk(result_size: int, most: int) -> None:
    """They wait for the last of them; and the client keeps those that come before their turn."""
    backend = Automatic(lambda numbers: None)
    backend.result_size = result_size
    assert sum(double.map(range(5 * LARGEST), backend=backend)) == 5 * LARGEST * (5 * LARGEST - 1)
    assert most / 2 < max(backend.sizes) <= most


def test_large_arguments_bound_the_calls_of_a_chunk() -> None:
    """They may come after small ones. Only a size that the caller has set is kept."""
    weights: list[int] = []

    class Weighing(Automatic):
        def submit(self, task: Task) -> Future[Any]:
            weights.append(len(task.arguments))
            return super().submit(task)

    items = [b""] * 500 + [bytes([number]) * 100_000 for number in range(100)]
    function = compute_this(lambda x: 2 * x)
    backend = Weighing(lambda _: None)
    assert list(function.map(items, backend=backend)) == [2 * item for item in items]
    assert max(weights) <= 2 * LARGEST_BYTES
    assert max(backend.sizes) > 8
    list(function.map(items, batch_size=100, backend=backend))
    assert max(weights) > 9_000_000


def test_no_items_make_no_calls() -> None:
    """They make no results."""
    backend = Automatic(lambda numbers: None)
    assert list(double.map([], backend=backend)) == []
    assert backend.sizes == []


@pytest.mark.parametrize("value", [0, -1, 1.5, "3"])
def test_a_batch_size_out_of_range_is_named(value: Any) -> None:
    """The error comes at the line of the map."""
    with pytest.raises(OptionError, match=f"batch_size={value!r}"):
        double.map([1], batch_size=value, backend="local")


@pytest.mark.parametrize("ordered", [True, False])
def test_after_its_timeout_a_map_raises_and_cancels_what_is_left(ordered: bool) -> None:
    """Results that are there by then are given."""
    backend = ByHand()
    assert list(double.map([1, 2], timeout=0, backend="local")) == [2, 4]
    results = double.map([1, 2, 3], timeout=0, ordered=ordered, backend=backend)
    with pytest.raises(
        ResultTimeoutError, match=r"a map of double gave no further result within timeout=0 s"
    ):
        next(results)
    assert backend.waiting
    assert all(future.cancelled() for _, future in backend.waiting)


def test_maps_accept_option_names_of_other_libraries() -> None:
    backend = Automatic(lambda numbers: None)
    assert list(double.map(range(3), chunksize=2, backend=backend)) == [0, 2, 4]
    assert list(double.starmap(([x] for x in range(3)), chunksize=3, backend=backend)) == [0, 2, 4]
    assert backend.sizes == [2, 1, 3]
    for results in (
        invert.map([0, 1], return_exceptions=True, backend="local"),
        invert.starmap([(0,), (1,)], return_exceptions=True, backend="local"),
    ):
        assert [type(result) for result in results] == [ZeroDivisionError, float]


def test_a_progress_bar_counts_to_the_total(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows the function's name."""
    assert list(double.map(range(3), progress=True, backend="local")) == [0, 2, 4]
    shown = capsys.readouterr().err
    assert "double" in shown
    assert "3/3" in shown


def test_a_progress_bar_shows_how_many_calls_have_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = invert.map([0, 1, 0], progress=True, on_error="return", backend="local")
    assert len(list(results)) == 3
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "failed=2" in shown


def test_the_total_is_the_length_of_the_shortest_iterable_or_unknown() -> None:
    """One that does not know makes it unknown: it may be the shortest."""
    assert total_of([range(10), "abc"]) == 3
    assert total_of([range(10), iter(int, 1)]) is None
    assert total_of([]) is None


def test_the_time_of_a_chunk_is_taken_from_its_timeline() -> None:
    """The local engine measures."""

    class Watched(LocalExecutionBackend):
        timelines: list[Any] = []  # noqa: RUF012 - of this test alone

        def submit(self, task: Task) -> Future[Any]:
            future = super().submit(task)
            self.timelines.append(future.timeline)
            return future

    assert list(double.map(range(3), backend=Watched())) == [0, 2, 4]
    assert all(timeline.running >= 0 for timeline in Watched.timelines)


def test_closing_a_map_sends_no_chunk_again() -> None:
    """The map sends nothing more."""
    backend = Automatic(lambda numbers: WorkerLostError("died") if len(numbers) > 1 else None)
    results = double.map(range(6), batch_size=6, backend=backend)
    assert next(results) == 0
    sent = len(backend.sizes)
    results.close()
    assert len(backend.sizes) == sent < 7
