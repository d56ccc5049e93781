"""What `Consumers` promises beyond what holds on each engine (`tests/contract`)."""

import asyncio
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Consumers, Queue, compute_this
from distribute_challenge.errors import (
    BackendError,
    CallCancelledError,
    OptionError,
    ResultTimeoutError,
    SerialisationError,
)
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.queues import ShutDown
from tests.calls import later, process_id
from tests.processes import PATIENCE, script, wait_until


class Gate:
    """A function that says which items it has begun, and waits until it may go on."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.opened = threading.Event()

    def __call__(self, item: Any) -> Any:
        self.begun.append(item)
        # In short waits, as a thread that is to be stopped has to come back to Python.
        wait_until(self.opened.is_set)
        return item


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(f"{__name__}.passing", gate := Gate())
    return gate


passing: Any = None


def pass_gate(item: Any) -> Any:
    return passing(item)


def interrupt(consumers: Consumers[Any], when: Callable[[], object]) -> None:
    """Press Ctrl+C in the block of consumers."""
    with pytest.raises(KeyboardInterrupt), consumers:  # noqa: PT012
        wait_until(when)
        raise KeyboardInterrupt


# --- their end


def test_a_consumer_ends_what_it_has_begun_when_it_is_stopped(
    items: "Queue[int]", gate: Gate
) -> None:
    """What it has not begun stays."""
    items.put_many(range(50))
    consumers: Consumers[int] = Consumers(items, pass_gate, 1)
    wait_until(lambda: gate.begun)
    stopping = threading.Thread(target=consumers.stop)
    stopping.start()
    wait_until(lambda: consumers._is_stopped)
    gate.opened.set()
    stopping.join(PATIENCE)
    assert consumers.done == len(gate.begun)
    assert items.qsize() == 50 - len(gate.begun)
    assert repr(consumers) == "<Consumers pass_gate, stopped>"
    with pytest.raises(CallCancelledError, match="were stopped: make new ones"):
        consumers.join()


def test_items_behind_one_that_takes_long_go_to_other_consumers(
    items: "Queue[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer takes several items at once if they are quick."""
    opened = threading.Event()
    done: list[Any] = []

    def work(item: Any) -> None:
        if item == "long":
            assert opened.wait(PATIENCE)
        done.append(item)

    monkeypatch.setattr(f"{__name__}.passing", work)
    with Consumers(items, pass_gate):
        items.put_many([*range(500), "long", *range(500, 1000)])
        wait_until(lambda: len(done) == 1000)
        assert "long" not in done
        opened.set()
        items.join()
    assert set(done) == {*range(1000), "long"}


def test_join_gives_up_in_time(items: "Queue[int]", gate: Gate) -> None:
    items.put(1)
    with Consumers(items, pass_gate, 1) as consumers:
        with pytest.raises(ResultTimeoutError, match="1 item\\(s\\) of the queue are not done"):
            consumers.join(timeout=0.01)
        gate.opened.set()
        consumers.join(timeout=PATIENCE)
        assert repr(consumers) == "<Consumers pass_gate, 1 of <Queue without a name>>"


def test_ctrl_c_in_the_block_stops_what_runs(items: "Queue[int]", gate: Gate) -> None:
    """Its item is delivered again."""
    items.put(1)
    interrupt(Consumers(items, pass_gate, 1), lambda: gate.begun)
    gate.opened.set()
    wait_until(lambda: items.qsize() == 1)
    assert items.get() == 1


def test_an_item_of_a_stopped_consumer_is_not_delivered_twice(
    items: "Queue[int]", gate: Gate
) -> None:
    """With ``ack="early"`` it becomes a dead letter."""
    items.put(1)
    interrupt(Consumers(items, pass_gate, 1, ack="early"), lambda: gate.begun)
    gate.opened.set()
    wait_until(lambda: items.opened().state().dead)
    ((item, error),) = items.dead_letters()
    assert (item, "had one try" in error) == (1, True)
    items.join()


@pytest.mark.parametrize("concurrency", [2, 5])
def test_coroutines_that_are_stopped_give_their_items_back(
    items: "Queue[int]", concurrency: int
) -> None:
    begun: list[int] = []

    async def wait(item: int) -> None:
        begun.append(item)
        await asyncio.Event().wait()

    # Not pickled by value, so that the list is this one.
    globals()["wait_long"] = wait
    wait.__qualname__ = wait.__name__ = "wait_long"
    items.put_many(range(3))
    consumers: Consumers[Any] = Consumers(items, wait, 1, concurrency=concurrency)
    interrupt(consumers, lambda: len(begun) == min(3, concurrency))
    wait_until(lambda: items.qsize() == 3)


def test_an_engine_that_is_closed_ends_its_consumers(
    items: "Queue[int]", threads: ThreadsExecutionBackend
) -> None:
    consumers: Consumers[int] = Consumers(items, abs)
    threads.close()
    consumers.stop()
    items.put(1)
    with pytest.raises(CallCancelledError):
        consumers.join()


def test_a_full_results_queue_does_not_block_a_stopped_consumer(
    items: "Queue[int]", threads: ThreadsExecutionBackend
) -> None:
    """Items whose results are not in the queue are delivered again."""
    results: Queue[int] = Queue(maxsize=2, backend=threads)
    functions: list[tuple[Any, int]] = [(abs, 1), (later, 5)]
    for function, concurrency in functions:
        items.put_many(range(-10, 0))
        with Consumers(items, function, 1, results=results, concurrency=concurrency):
            wait_until(results.full)
        kept = results.get_many(5)
        results.task_done(len(kept))
        rest = items.get_many(10)
        items.task_done(len(rest))
        assert sorted([*map(abs, rest), *kept]) == list(range(1, 11))
        items.join()


def test_abandoning_the_iterator_of_results_lets_join_end(items: "Queue[int]", gate: Gate) -> None:
    items.put_many([1, 2])
    gate.opened.set()
    with Consumers(items, pass_gate, results=True) as consumers:
        for _ in consumers.results():
            break
        consumers.join()


@pytest.mark.parametrize(
    "backend", ["threads", pytest.param("celery", marks=[pytest.mark.celery, pytest.mark.slow])]
)
def test_the_end_of_the_program_ends_its_consumers(backend: str, tmp_path: Path) -> None:
    """It does not wait for them, and does not warn of calls that were not done."""
    code = f"""
from distribute_challenge import Consumers, Queue
items = Queue(backend={backend!r})
items.put_many(range(100))
consumers = Consumers(items, abs)
print("ends")
"""
    with script(code, tmp_path) as program:
        assert program.wait() == 0
        assert program.output.split() == ["ends"]


def test_results_raises_if_the_consumers_were_made_without_results(items: "Queue[int]") -> None:
    with (
        Consumers(items, abs) as consumers,
        pytest.raises(OptionError, match="make them with results=True"),
    ):
        consumers.results()


def test_an_error_of_the_results_ends_the_consumers(
    items: "Queue[int]", threads: ThreadsExecutionBackend
) -> None:
    """One consumer: others would be stopped wherever they are, with files that they have opened."""
    results: Queue[int] = Queue(backend=threads)
    results.shutdown()
    items.put(-1)
    consumers: Consumers[int] = Consumers(items, abs, 1, results=results)
    with pytest.raises(ShutDown):
        consumers.join()
    wait_until(lambda: items.qsize() == 1)


def test_an_item_that_cannot_be_unpickled_is_a_dead_letter(
    items: "Queue[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.Fragile.breaks", True)
    for concurrency in (1, 5):
        items.put_many([Fragile(), -1])
        with Consumers(items, later, 1, results=True, concurrency=concurrency) as consumers:
            assert [*map(str, consumers.results())] == ["1"]
        assert consumers.failed == 1
    assert [error.partition(":")[0] for _, error in items.dead_letters()] == [
        "SerialisationError"
    ] * 2


class Fragile:
    """Cannot be unpickled while ``breaks`` is set."""

    breaks = False

    def __reduce__(self) -> Any:
        return _made, ()


def _made() -> Fragile:
    if Fragile.breaks:
        raise RuntimeError("broken")
    return Fragile()


def test_an_item_given_back_after_a_shutdown_is_still_processed(items: "Queue[int]") -> None:
    """A consumer does not end while another process may give an item back."""
    items.put(-5)
    received = items.opened().take(1, None)
    assert received is not None
    items.shutdown()
    with Consumers(items, abs, 1, results=True) as consumers:
        wait_until(lambda: consumers._calls == 1)
        items.opened().reject(received)
        assert list(consumers.results()) == [5]


# --- what is refused


def test_a_function_that_cannot_be_pickled_is_refused(items: "Queue[int]") -> None:
    lock = threading.Lock()
    with pytest.raises(SerialisationError):
        Consumers(items, lambda item: lock)


def test_a_bound_coroutine_function_can_work_on_many_items(items: "Queue[int]") -> None:
    class Adder:
        @compute_this
        async def add(self, number: int) -> int:
            return number + 1

    items.put(1)
    with Adder().add.consume(items, results=True, concurrency=2) as consumers:
        assert list(consumers.results()) == [2]


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({"queue_timeout": 1.0}, {}, "queue_timeout=1: an item waits in its queue"),
        ({"backend": LocalExecutionBackend()}, {}, "consumers run on the backend of their queue"),
        ({"queue": "gpu"}, {}, "queue"),
        ({"at_most_once": True}, {"ack": "late"}, "with at_most_once=True"),
        ({}, {"results": "local"}, "on another backend than the items"),
    ],
)
def test_options_that_consumers_cannot_honour_are_refused(
    items: "Queue[int]", options: Any, arguments: Any, message: str
) -> None:
    if arguments.get("results") == "local":
        arguments = {"results": Queue(backend="local")}
    with pytest.raises(OptionError, match=message):
        process_id.with_options(**options).consume(items, **arguments)


def test_other_kinds_of_queues_and_non_callables_are_refused(items: "Queue[int]") -> None:
    with pytest.raises(OptionError, match=r"expected a distribute_challenge\.Queue"):
        process_id.consume(queue.Queue())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'abs' cannot be called"):
        Consumers(items, "abs")  # type: ignore[arg-type]


def test_consumers_cannot_be_made_inside_a_call(items: "Queue[int]") -> None:
    @compute_this
    def consume(items: "Queue[int]") -> None:
        Consumers(items, abs)

    with pytest.raises(BackendError, match="make the consumers in the program"):
        consume(items).compute(backend="threads")
