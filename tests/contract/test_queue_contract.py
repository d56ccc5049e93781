"""What queues and their consumers promise, on each engine that has them."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Consumers, ExecutionBackend, Queue, compute_this
from distribute_challenge.errors import BackendError, OptionError, SetupError
from tests.contract.engines import RUN_ON_SUBMIT

WITH_QUEUES = {"celery", "local", "threads"}


@compute_this
def square(number: int) -> int:
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * number


@compute_this
async def slowly(number: int) -> int:
    await asyncio.sleep(0)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * number


@pytest.fixture
def items(engine: tuple[str, ExecutionBackend]) -> Iterator["Queue[Any]"]:
    name, backend = engine
    if name not in WITH_QUEUES:
        pytest.skip("has no queues")
    items: Queue[Any] = Queue(backend=backend)
    yield items
    items.delete()


def test_an_engine_without_queues_says_so(engine: tuple[str, ExecutionBackend]) -> None:
    if engine[0] in WITH_QUEUES:
        pytest.skip("has queues")
    with pytest.raises(BackendError, match="Queue\\(backend='celery'\\)"):
        Queue(backend=engine[1])


@pytest.mark.parametrize(("function", "concurrency"), [(square, 1), (slowly, 1), (slowly, 5)])
def test_a_function_is_called_with_each_item(
    items: "Queue[Any]", function: Any, concurrency: int
) -> None:
    with function.consume(items, results=True, concurrency=concurrency) as consumers:
        items.put_many(range(100))
        assert sorted(consumers.results()) == [number * number for number in range(100)]
        items.put(10)
        assert list(consumers.results()) == [100]
        consumers.join()
    assert (consumers.done, consumers.failed) == (101, 0)
    items.join()


@pytest.mark.parametrize(("function", "concurrency"), [(square, 1), (slowly, 5)])
def test_an_item_that_fails_is_a_dead_letter(
    items: "Queue[Any]", function: Any, concurrency: int
) -> None:
    """It can be tried again; those before and behind it are done."""
    items.put_many([1, -2, 3, -4])
    with function.consume(items, results=True, concurrency=concurrency) as consumers:
        assert sorted(consumers.results()) == [1, 9]
    assert sorted(items.dead_letters()) == [
        (-4, "ValueError: -4 is negative"),
        (-2, "ValueError: -2 is negative"),
    ]
    assert (consumers.done, consumers.failed) == (2, 2)
    assert items.requeue() == 2
    assert sorted(items.get_many(2)) == [-4, -2]
    items.task_done(2)
    assert items.dead_letters() == []


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_failed_item_is_tried_again_as_often_as_the_function_allows(
    items: "Queue[Any]", concurrency: int, tmp_path: Path
) -> None:
    path = str(tmp_path / "tries")

    @compute_this(retries=2, retry_on=OSError)
    async def fail(item: str) -> None:
        with open(path, "a") as tries:  # noqa: ASYNC230
            tries.write(item)
        raise (OSError if item == "a" else KeyError)(item)

    items.put_many("ab")
    with fail.consume(items, concurrency=concurrency) as consumers:
        consumers.join()
    assert sorted(Path(path).read_text()) == ["a", "a", "a", "b"]
    assert sorted(error for _, error in items.dead_letters()) == ["KeyError: 'b'", "OSError: a"]


@pytest.mark.parametrize("concurrency", [1, 5])
def test_an_item_that_exceeds_the_timeout_of_the_function_is_a_dead_letter(
    items: "Queue[Any]", concurrency: int
) -> None:
    @compute_this(timeout=0.05)
    async def wait(item: str) -> str:
        await asyncio.sleep(60 if item == "long" else 0)
        return item

    items.put_many(["long", "short"])
    with wait.consume(items, results=True, concurrency=concurrency) as consumers:
        assert list(consumers.results()) == ["short"]
    ((item, error),) = items.dead_letters()
    assert (item, error) == (
        "long",
        "CallTimeoutError: wait ran longer than timeout=0.05 s and was stopped",
    )


@pytest.mark.parametrize(("function", "concurrency"), [(square, 1), (slowly, 5)])
def test_items_can_be_done_at_most_once(
    items: "Queue[Any]", function: Any, concurrency: int
) -> None:
    items.put_many([1, -2, 3])
    once = function.with_options(at_most_once=True)
    with once.consume(items, results=True, concurrency=concurrency) as consumers:
        assert sorted(consumers.results()) == [1, 9]
    assert items.dead_letters() == [(-2, "ValueError: -2 is negative")]


def test_results_go_into_a_queue_of_the_program(items: "Queue[Any]", backend: Any) -> None:
    results: Queue[int] = Queue(backend=backend)
    items.put_many([1, 2, 3])
    with square.consume(items, results=results) as consumers:
        consumers.join()
    assert sorted(results.get_many(3)) == [1, 4, 9]


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_result_that_cannot_be_pickled_makes_its_item_a_dead_letter(
    items: "Queue[Any]", concurrency: int
) -> None:
    @compute_this
    async def lock(item: int) -> Any:
        return threading.Lock() if item == 2 else item

    items.put_many([1, 2, 3])
    with lock.consume(items, results=True, concurrency=concurrency) as consumers:
        assert sorted(consumers.results()) == [1, 3]
    ((item, error),) = items.dead_letters()
    assert (item, "cannot be pickled" in error) == (2, True)


def test_consumers_without_a_function_run_calls_that_are_items(items: "Queue[Any]") -> None:
    """It keeps its own options; a call in its arguments runs before it."""
    inner: Any = square(2)
    items.put_many([square(3), square.with_options(retries=1)(-1), square(inner), "no call"])
    consumers: Consumers[int] = Consumers(items, results=True)
    with consumers:
        assert sorted(consumers.results()) == [9, 16]
    failed = {repr(item): error for item, error in items.dead_letters()}
    assert failed["<Distributable square(-1)>"] == "ValueError: -1 is negative"
    assert failed["'no call'"].startswith("TypeError: consumers without a function run items that")


def test_consumers_accept_bound_methods_and_plain_functions(items: "Queue[Any]") -> None:
    """Also of a bound method, and of a plain function."""

    class Adder:
        def __init__(self, offset: int) -> None:
            self.offset = offset

        @compute_this
        def add(self, number: int) -> int:
            return number + self.offset

    items.put(1)
    with Adder(10).add.consume(items, results=True) as consumers:
        assert list(consumers.results()) == [11]
    items.put(-1)
    with Consumers(items, abs, results=True) as consumers:
        assert list(consumers.results()) == [1]


def test_a_shut_down_queue_ends_its_consumers(items: "Queue[Any]", engine: Any) -> None:
    with square.consume(items, results=True) as consumers:
        items.put_many(range(10))
        items.shutdown()
        assert len(list(consumers.results())) == 10
        if engine[0] not in RUN_ON_SUBMIT:
            with consumers._changed:
                assert consumers._changed.wait_for(lambda: not consumers._calls, 60)
        assert consumers.done == 10
        consumers.join()


def test_a_setup_runs_before_the_first_item(items: "Queue[Any]") -> None:
    """If it fails, that ends the consumers."""

    def load() -> None:
        raise OSError("no model")

    items.put(1)
    consumers = square.with_options(setup=load).consume(items)
    with pytest.raises(SetupError, match="no model"):
        consumers.join()
    with pytest.raises(SetupError, match="no model"), consumers:
        pass
    assert items.qsize() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"consumers": 0}, "consumers=0: expected a whole number"),
        ({"concurrency": 0}, "concurrency=0: expected a whole number"),
        ({"concurrency": 2}, "square is no coroutine function"),
        ({"results": "x"}, "results='x': expected a Queue"),
        ({"ack": "never"}, "ack='never': expected \"late\""),
    ],
)
def test_wrong_arguments_are_refused(
    items: "Queue[Any]", arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        square.consume(items, **arguments)
