"""Consumers on the workers of a cluster, which other calls need and which die."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import LocalCluster, Queue, compute_this
from distribute_challenge.errors import BrokerUnreachableError
from tests.calls import process_id


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.celery
def test_consumers_leave_workers_free_for_other_calls(cluster: LocalCluster) -> None:
    """Also if there are more consumers than workers."""
    items: Queue[int] = Queue()
    with process_id.consume(items, 20) as consumers:
        assert process_id().compute() > 0
        items.put_many(range(10))
        assert process_id().compute() > 0
        consumers.join()


@pytest.mark.slow
@pytest.mark.celery
def test_a_consumer_that_dies_is_replaced(cluster: LocalCluster, tmp_path: Path) -> None:
    """Its item is done by another one; an item that ends each of its processes is a dead letter."""
    died = str(tmp_path / "died")

    @compute_this
    def work(item: Any) -> Any:
        if item == "always" or (item == "once" and not os.path.exists(died)):
            Path(died).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    items: Queue[Any] = Queue(lease=0.5)
    with work.consume(items, results=True) as consumers:
        items.put_many([1, "once", 2])
        assert {1, "once", 2} == set(consumers.results())
        items.put_many(["always", 3])
        assert set(consumers.results()) == {3}
    ((item, error),) = items.dead_letters()
    assert (item, "3 processes" in error) == ("always", True)


@pytest.mark.celery
def test_an_item_that_was_begun_once_is_not_begun_again(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Its worker dies with it."""
    begun = tmp_path / "begun"

    @compute_this(at_most_once=True)
    def work(item: Any) -> Any:
        if item == "fatal":
            with begun.open("a") as file:
                file.write("begun ")
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    items: Queue[Any] = Queue(lease=0.5)
    with work.consume(items, results=True) as consumers:
        items.put_many([1, "fatal", 2])
        assert set(consumers.results()) == {1, 2}
    assert begun.read_text() == "begun "
    ((item, error),) = items.dead_letters()
    assert (item, "had one try" in error) == ("fatal", True)


@pytest.mark.celery
def test_a_broker_that_is_gone_ends_the_consumers() -> None:
    with LocalCluster(workers=1) as cluster:
        items: Queue[int] = Queue()
        consumers = process_id.consume(items)
        cluster.close()
        with contextlib.suppress(BrokerUnreachableError):
            consumers.stop()
    assert consumers._calls == 0
