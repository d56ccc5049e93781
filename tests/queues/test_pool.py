"""What pools of queues promise."""

import queue
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, compute_this
from distribute_challenge.errors import OptionError, SetupError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.queues import ConsumerPool, Full, QueuePool
from tests.processes import PATIENCE, wait_until


@pytest.fixture
def pool(threads: ThreadsExecutionBackend) -> "QueuePool[Any]":
    return QueuePool(3, maxsize=2, backends=[threads])


def fail(item: int) -> int:
    if item < 0:
        raise ValueError(item)
    return item


def test_items_go_into_each_queue_in_turn(pool: "QueuePool[int]") -> None:
    pool.put_many([1, 2, 3, 4])
    pool.put(5)
    assert (len(pool), pool.qsize(), pool.empty(), repr(pool)) == (
        3, 5, False, "<QueuePool of 3 queues>"
    )  # fmt: skip
    assert [some.get_many(5) for some in pool] == [[1, 2], [3, 4], [5]]
    for some, count in zip(pool, [2, 2, 1], strict=True):
        some.task_done(count)
    pool.join()
    with pytest.raises(queue.Empty):
        pool[0].get_nowait()


def test_putting_into_a_full_pool_raises_full(pool: "QueuePool[int]") -> None:
    for number in range(6):
        pool.put_nowait(number)
    with pytest.raises(Full, match="none of the 3 queues"):
        pool.put_nowait(6)
    pool[1].get()
    pool.put_nowait(6)
    with pytest.raises(Full) as caught:
        pool.put_many([7, 8], timeout=0)
    assert caught.value.put == 0
    pool.delete()
    with pytest.raises(Full) as caught:
        pool.put_many(range(3000), block=False)
    assert 0 < caught.value.put <= 6


def test_a_pool_with_the_same_name_has_the_same_queues(threads: ThreadsExecutionBackend) -> None:
    pool: QueuePool[int] = QueuePool(2, name="pool", backends=[threads])
    pool.put_many([1, 2])
    again: QueuePool[int] = QueuePool(2, name="pool", backends=[threads])
    assert again.qsize() == 2
    assert again[1].name == "pool-1"
    again.shutdown(immediate=True)
    pool.join()
    pool.delete()


@pytest.mark.parametrize("consumers", [None, 2, 7])
def test_consumers_take_the_items_of_all_queues(
    pool: "QueuePool[int]", consumers: int | None
) -> None:
    with pool.consume(fail, consumers, results=True) as some:
        pool.put_many([*range(10), -1])
        assert sorted(some.results()) == list(range(10))
        some.join(PATIENCE)
        assert repr(some).startswith("<ConsumerPool of [<Consumers fail")
    assert (some.done, some.failed) == (10, 1)
    assert pool.dead_letters() == [(-1, "ValueError: -1")]
    assert pool.requeue() == 1
    pool.delete()


def test_the_queues_of_a_pool_can_be_on_several_backends() -> None:
    """Each has its own results."""
    with ThreadsExecutionBackend(1) as one, ThreadsExecutionBackend(1) as two:
        backends: list[ExecutionBackend] = [one, LocalExecutionBackend(), two]
        pool: QueuePool[int] = QueuePool(5, backends=backends)
        assert [some.engine() for some in pool] == [*backends, *backends[:2]]
        with pool.consume(fail, results=True) as consumers:
            pool.put_many(range(20))
            assert sorted(consumers.results()) == list(range(20))


def test_ctrl_c_stops_the_consumers_of_all_queues(pool: "QueuePool[int]") -> None:
    consumers: ConsumerPool[int] = pool.consume(fail)
    with pytest.raises(KeyboardInterrupt), consumers:  # noqa: PT012
        pool.put(1)
        raise KeyboardInterrupt
    wait_until(lambda: not any(some._calls for some in consumers._consumers))


def test_an_error_of_the_consumers_is_raised(pool: "QueuePool[int]") -> None:
    def load() -> None:
        raise OSError("no model")

    pool.put(1)
    function = compute_this(abs, setup=load)
    with pytest.raises(SetupError, match="no model"):
        list(pool.consume(function, results=True).results())
    with pytest.raises(SetupError, match="no model"), pool.consume(function) as consumers:
        wait_until(lambda: all(some._error for some in consumers._consumers))


def test_wrong_arguments_are_refused(pool: "QueuePool[int]") -> None:
    with pytest.raises(OptionError, match="n_queues=0"):
        QueuePool(0)
    with pytest.raises(OptionError, match="backends: got 2 for n_queues=1"):
        QueuePool(1, backends=["threads", "local"])
    with pytest.raises(OptionError, match="consumers=0"):
        pool.consume(abs, 0)
    with pytest.raises(OptionError, match="no coroutine function"):
        pool.consume(abs, concurrency=2)
    with (
        pool.consume(abs) as consumers,
        pytest.raises(OptionError, match="make them with results=True"),
    ):
        consumers.results()


@pytest.mark.celery
@pytest.mark.slow
def test_a_pool_lies_on_several_redis_servers() -> None:
    """Each has its own workers."""
    with (
        CeleryExecutionBackend(local=True, workers=1) as one,
        CeleryExecutionBackend(local=True, workers=1) as two,
    ):
        pool: QueuePool[Any] = QueuePool(2, backends=[one, two])
        with pool.consume(fail, results=True) as consumers:
            pool.put_many(range(100))
            assert sorted(consumers.results()) == list(range(100))
