"""How a client keeps its queues: leases, what is interrupted, what is forged, and a broker that goes."""

import os
import threading
from argparse import Namespace
from typing import Any

import pytest

from distribute_challenge import Queue
from distribute_challenge.errors import (
    BrokerFullError,
    BrokerUnreachableError,
)
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import connection as connecting
from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from distribute_challenge.execution_backends.celery.broker.keys import queue_key
from distribute_challenge.execution_backends.celery.broker.queues import QueueRecord
from distribute_challenge.execution_backends.celery.client import queue_steps
from distribute_challenge.execution_backends.celery.client.shared_queue import SharedQueue
from distribute_challenge.execution_backends.held_items import HeldItems
from distribute_challenge.execution_backends.item_queue import Items
from distribute_challenge.queues import ShutDown
from distribute_challenge.queues.consumer_results import results_for
from distribute_challenge.queues.handle import _opened
from tests.execution_backends.celery.client.item_queues import shared
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, wait_until

pytestmark = pytest.mark.celery

Engine = CeleryExecutionBackend


# --- what a process holds


def test_a_thread_finishes_its_own_items_first() -> None:
    held = HeldItems()
    held.add([Items("mine", 0, 2)])
    thread = threading.Thread(target=held.add, args=[[Items("theirs", 5, 8)]])
    thread.start()
    thread.join()
    held.add([Items("mine too", 0, 1)])
    assert held.finish(1) == [Items("mine", 0, 1)]
    done = held.finish(3)
    assert done == [Items("mine", 1, 2), Items("mine too", 0, 1), Items("theirs", 5, 6)]
    held.restore(done)
    assert held.finish(2) == done[:2]
    assert held
    assert held.finish(3) == [Items("theirs", 5, 6), Items("theirs", 6, 8)]
    assert not held


def test_items_are_kept_for_as_long_as_their_process_lives(
    backend: Engine, server: Server, connection: Broker
) -> None:
    """It renews its lease, again and again."""
    numbers: Queue[int] = Queue("numbers", lease=0.5, backend=backend)
    numbers.put_many([1, 2])
    assert numbers.get() == 1
    leases, seen = queue_key("leases", numbers._handle.id), set()

    def renewed() -> bool:
        seen.update(score for _, score in connection.zrange(leases, 0, -1, withscores=True))
        return len(seen) == 4

    wait_until(renewed)
    numbers.task_done()
    assert not connection.exists(leases)


def test_the_thread_ends_when_nothing_is_held(backend: Engine) -> None:
    numbers: Queue[int] = Queue("numbers", lease=0.5, backend=backend)
    numbers.put(1)
    numbers.get()
    queues = backend._queues
    assert queues is not None
    assert queues._thread is not None
    numbers.task_done()
    wait_until(lambda: queues._thread is None)


def test_task_done_for_an_item_that_was_lost_logs_and_raises_nothing(
    backend: Engine, connection: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    numbers: Queue[int] = Queue("numbers", backend=backend)
    numbers.put(1)
    numbers.get()
    connection.zadd(queue_key("leases", numbers._handle.id), {shared(numbers)._holder: 1.0})
    assert QueueRecord(connection, numbers._handle.id).take("other", "d", 1).entries
    numbers.task_done()
    assert "1 deliveries of a queue were done when this process did not hold them" in caplog.text


def test_items_taken_by_an_interrupted_get_are_given_back(
    backend: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl+C came when Redis had carried out the command."""
    numbers: Queue[int] = Queue("numbers", backend=backend)
    numbers.put_many([1, 2, 3])

    def interrupted(self: SharedQueue, *_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(SharedQueue, "_loaded", interrupted)
        with pytest.raises(KeyboardInterrupt):
            numbers.get_many(2)
    wait_until(lambda: numbers.qsize() == 3)
    assert numbers.get_many(5) == [1, 2, 3]


def test_an_interrupt_while_an_item_is_unpickled_gives_all_items_back(
    backend: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: Queue[Any] = Queue("numbers", backend=backend)
    numbers.put_many([1, Interrupting()])
    with pytest.raises(KeyboardInterrupt):
        numbers.get_many(2)
    wait_until(lambda: numbers.qsize() == 2)


class Interrupting:
    def __reduce__(self) -> Any:
        return interrupt, ()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_join_checks_the_queue_again_if_no_token_arrives(
    backend: Engine, connection: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that has taken the token may be dead."""
    monkeypatch.setattr(queue_steps, "LONGEST_WAIT", 0.01)
    numbers: Queue[int] = Queue("numbers", backend=backend)
    numbers.put(1)
    numbers.get()
    thread = threading.Thread(target=numbers.join, daemon=True)
    thread.start()
    wait_until(
        lambda: connection.info("commandstats").get("cmdstat_blpop", {"calls": 0})["calls"] > 2
    )
    numbers.task_done()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# --- a queue that is gone


def test_a_queue_that_redis_has_lost_is_made_again(backend: Engine, connection: Broker) -> None:
    numbers: Queue[int] = Queue(maxsize=1, backend=backend)
    numbers.put(1)
    numbers.get()
    connection.flushall()
    assert numbers.qsize() == 0
    shared(numbers).look_after()
    numbers.put(2)
    assert numbers.full()
    assert numbers.get() == 2


def test_a_queue_of_a_client_that_is_gone_is_shut_down(backend: Engine, server: Server) -> None:
    with Engine(server.url) as other:
        numbers: Queue[int] = Queue(backend=other)
        numbers.put_many([1, 2])
        _opened.pop(numbers._handle.id)
        attached = backend.attach_queue(numbers._handle.id)
        assert backend.attach_queue(numbers._handle.id) is attached
        assert attached.take(1, 0.0).items == [1]
    with pytest.raises(ShutDown, match="it was deleted, or its client has ended"):
        attached.take(1, 0.0)
    attached.look_after()  # type: ignore[attr-defined]


def test_the_results_of_consumers_that_are_gone_expire(backend: Engine, eventually: Any) -> None:
    """Nothing is left of them in a client that runs for long."""
    owner = Namespace()
    results: Queue[int] = results_for(owner, backend)
    results.put(1)
    queues, of_results = backend._queues, shared(results)
    assert queues is not None
    assert of_results.needs_renewal()
    assert queues._thread is not None
    assert of_results in queues._queues.values()
    del owner
    assert not of_results.needs_renewal()
    queues._care(shared(Queue("another", backend=backend)), at_once=True)
    eventually(lambda: of_results not in queues._queues.values())


def test_a_deleted_queue_is_looked_after_only_if_it_is_used_again(
    backend: Engine, eventually: Any
) -> None:
    numbers: Queue[int] = Queue(backend=backend)
    numbers.put(1)
    numbers.get()
    own, queues = shared(numbers), backend._queues
    assert queues is not None
    numbers.delete()
    assert not own.needs_renewal()
    queues._care(shared(Queue("another", backend=backend)), at_once=True)
    eventually(lambda: own not in queues._queues.values())
    numbers.put(2)
    assert own.needs_renewal()
    assert own in queues._queues.values()
    assert numbers.get() == 2


def test_a_client_with_items_of_a_queue_that_is_gone_can_be_closed(
    backend: Engine, connection: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    numbers: Queue[int] = Queue("numbers", backend=backend)
    numbers.put(1)
    numbers.get()
    connection.flushall()
    backend.close()
    assert caplog.text == ""


def test_a_client_can_be_closed_twice_and_without_a_broker(server: Server, eventually: Any) -> None:
    backend = Engine(server.url)
    numbers: Queue[int] = Queue("numbers", backend=backend)
    named: Queue[int] = Queue("more", backend=backend)
    for queue in (numbers, named):
        queue.put(1)
        queue.get()
    numbers.delete()
    queues = backend._queues
    assert queues is not None
    server.stop()
    backend.close()
    eventually(lambda: queues._thread is None)
    queues._care(shared(named), at_once=True)
    assert queues._thread is None


@pytest.mark.slow
def test_an_embedded_cluster_that_is_made_anew_has_new_queues(eventually: Any) -> None:
    """Those of the one that died are closed."""
    with Engine(local=True, workers=1) as backend:
        numbers: Queue[int] = Queue(backend=backend)
        dead, cluster = backend._queues, backend._own
        assert cluster is not None
        cluster.close()
        client = backend._client
        assert client is not None
        eventually(lambda: client.broken is not None)
        Queue(backend=backend).put(1)
        assert backend._queues is not dead
        with pytest.raises(ShutDown, match="the queue's backend was closed"):
            numbers.put(1)


# --- a broker that goes away


def test_a_waiting_get_survives_a_restart(server: Server, backend: Engine) -> None:
    numbers: Queue[int] = Queue("numbers", backend=backend)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(numbers.get()), daemon=True)
    thread.start()
    with connect(server.url) as connection:
        wait_until(lambda: connection.info("clients")["blocked_clients"] == 1)
    server.stop()
    server.start()
    Queue("numbers", backend=Engine(server.url)).put(5)
    thread.join(PATIENCE)
    assert found == [5]


@pytest.mark.parametrize("timeout", [0.01, None])
def test_an_absent_broker_raises_broker_unreachable_error_in_time(
    server: Server, backend: Engine, monkeypatch: pytest.MonkeyPatch, timeout: float | None
) -> None:
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_BROKER_TIMEOUT", "1")
    monkeypatch.setattr(connecting, "RECONNECT_PAUSE", 0.01)
    numbers: Queue[int] = Queue("numbers", backend=backend)
    numbers.put(1)
    numbers.get()
    server.stop()
    with pytest.raises(BrokerUnreachableError):
        numbers.get(timeout=timeout)
    if timeout is None:
        with pytest.raises(BrokerUnreachableError):
            numbers.task_done()
        assert shared(numbers)._held


def test_leases_that_cannot_be_renewed_are_logged_and_tried_again(
    server: Server, backend: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    numbers: Queue[int] = Queue("numbers", lease=0.5, backend=backend)
    numbers.put(1)
    numbers.get()
    server.stop()
    wait_until(lambda: "cannot renew the leases of a queue" in caplog.text)


def test_a_full_broker_is_an_error(backend: Engine, connection: Broker) -> None:
    numbers: Queue[int] = Queue("numbers", backend=backend)
    connection.config_set("maxmemory", 1)
    with pytest.raises(BrokerFullError):
        numbers.put(1)


def test_a_large_item_that_waits_for_room_stays(
    server: Server, backend: Engine, connection: Broker
) -> None:
    items: Queue[Any] = Queue("items", maxsize=1, backend=backend)
    items.put(1)
    thread = threading.Thread(target=items.put, args=[b"x" * 100_000], daemon=True)
    thread.start()
    wait_until(lambda: connection.info("clients")["blocked_clients"] == 1)
    (key,) = connection.keys("distribute_challenge:value:*")
    connection.expire(key, 30)
    record = QueueRecord(connection, items._handle.id)
    record.connection.rpush(queue_key("room", items._handle.id), "")
    wait_until(lambda: connection.ttl(key) > 30)
    items.get()
    thread.join(PATIENCE)
    assert connection.ttl(key) == -1
    assert len(items.get()) == 100_000


# --- forks


def test_the_child_of_a_fork_is_another_holder(backend: Engine, connection: Broker) -> None:
    numbers: Queue[int] = Queue("numbers", backend=backend)
    results: Queue[Any] = Queue(backend=backend)
    numbers.put_many([1, 2])
    assert numbers.get() == 1
    pid = os.fork()
    if pid == 0:
        try:
            numbers.task_done()
        except ValueError:
            results.put("holds nothing")
        results.put(numbers.get())
        numbers.task_done()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert [results.get(), results.get()] == ["holds nothing", 2]
    numbers.task_done()
    numbers.join()
