"""A queue that is shut down, deleted or reopened, and one whose client ends."""

import queue
from typing import Any

import pytest

from distribute_challenge import LocalCluster, Queue
from distribute_challenge.errors import (
    OptionError,
    SystemFailureError,
)
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.queues import ShutDown
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, wait_until
from tests.queues.waiting import in_thread, is_waiting

pytestmark = pytest.mark.celery

Engine = CeleryExecutionBackend


def test_a_queue_that_is_shut_down_takes_no_items_and_gives_those_it_has(
    backend: Engine, other: Engine, name: str
) -> None:
    numbers: Queue[int] = Queue(name, backend=backend)
    numbers.put_many([1, 2])
    Queue[int](name, backend=other).shutdown()
    with pytest.raises(ShutDown):
        numbers.put(3)
    assert numbers.get_many(5) == [1, 2]
    with pytest.raises(ShutDown):
        numbers.get(timeout=PATIENCE)
    numbers.shutdown()
    numbers.task_done(2)
    numbers.join()


def test_shutting_down_at_once_drops_what_waits(backend: Engine, server: Server) -> None:
    numbers: Queue[int] = Queue(maxsize=2, backend=backend)
    empty: Queue[int] = Queue(backend=backend)
    numbers.put_many([1, 2])
    waiting = [
        in_thread(lambda: numbers.put(3)),
        in_thread(lambda: numbers.put(4)),
        in_thread(empty.get),
    ]
    wait_until(is_waiting(server, 3))
    numbers.shutdown(immediate=True)
    empty.shutdown()
    for thread, found in waiting:
        thread.join(PATIENCE)
        assert isinstance(found[0], ShutDown)
    numbers.join()
    with pytest.raises(ShutDown):
        numbers.get()


def test_an_item_taken_before_a_shutdown_can_be_finished_afterwards(backend: Engine) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    numbers.put_many([1, 2])
    numbers.get()
    numbers.shutdown(immediate=True)
    numbers.task_done()
    numbers.join()


def test_a_name_is_one_queue_for_all_clients(backend: Engine, other: Engine, name: str) -> None:
    first: Queue[int] = Queue(name, maxsize=5, backend=backend)
    second: Queue[int] = Queue(name, backend=other)
    assert second.maxsize == 5
    first.put(1)
    assert second.get() == 1
    assert first.name == second.name == name
    assert repr(first) == f"<Queue {name!r}>"


def test_the_first_given_maxsize_and_lease_apply(backend: Engine, other: Engine, name: str) -> None:
    first: Queue[int] = Queue(name, backend=backend)
    second: Queue[int] = Queue(name, maxsize=1, lease=30, backend=other)
    second.put(1)
    with pytest.raises(queue.Full):
        first.put_nowait(2)
    with pytest.raises(OptionError, match=r"maxsize=2: the queue .* there already, with maxsize=1"):
        Queue(name, maxsize=2, backend=backend)
    with pytest.raises(OptionError, match=r"lease=5: the queue .* with lease=30: leave lease out"):
        Queue(name, lease=5, backend=backend)


def test_a_deleted_queue_is_empty_and_can_be_used_again(
    backend: Engine, other: Engine, name: str
) -> None:
    numbers: Queue[Any] = Queue(name, backend=backend)
    numbers.put_many([1, b"x" * 100_000])
    numbers.get()
    numbers.shutdown()
    Queue[int](name, backend=other).delete()
    assert numbers.qsize() == 0
    numbers.join()
    numbers.put(2)
    assert numbers.get() == 2


def test_deleting_a_queue_removes_all_its_keys_and_values(
    backend: Engine, name: str, server: Server
) -> None:
    numbers: Queue[Any] = Queue(name, maxsize=9, backend=backend)
    numbers.put_many([1, 2, b"x" * 5_000_000])
    numbers.get()
    numbers.delete()
    assert not connect(server.url).keys(f"distribute_challenge:queue:*{name}*")
    assert not connect(server.url).keys("distribute_challenge:value:*")


def test_a_queue_without_a_name_ends_with_its_client(
    backend: Engine, server: Server, name: str
) -> None:
    with CeleryExecutionBackend(server.url) as other:
        numbers: Queue[int] = Queue(backend=other)
        assert numbers.name is None
        assert repr(numbers) == "<Queue without a name>"
        numbers.put(1)
        thread, found = in_thread(lambda: [numbers.get() for _ in range(2)])
        wait_until(is_waiting(server))
    thread.join(PATIENCE)
    assert isinstance(found[0], ShutDown)
    assert not connect(server.url).keys("distribute_challenge:queue:*unnamed*")


@pytest.mark.slow
def test_the_end_of_an_embedded_cluster_is_an_error_of_its_queues() -> None:
    cluster = LocalCluster(workers=1).start()
    numbers: Queue[int] = Queue(backend=cluster.backend)
    cluster._embedded.close()
    with pytest.raises(SystemFailureError):
        numbers.put(1)
    cluster.close()
