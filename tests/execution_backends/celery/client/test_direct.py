"""Calls whose caller waits at once: what happens to the reply, for each time and each waiter."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import BrokerFullError, CallCancelledError, ResultTimeoutError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import pipelined
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import function_key
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.client import direct
from distribute_challenge.execution_backends.celery.client.client import Client
from distribute_challenge.execution_backends.celery.client.direct import DirectCall
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(x: int) -> int:
    return x * x


@pytest.fixture
def client(backend: CeleryExecutionBackend) -> Client:
    return backend._connected()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No caller waits long at a direct connection."""
    monkeypatch.setattr(direct, "FIRST_WAIT", 0.02)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as pool:
        yield pool


def send(client: Client, number: int) -> Any:
    return client.send_now(square(number)._task())


def all_idle(client: Client) -> bool:
    return len(client._direct._idle) == len(client._direct._all)


def test_the_reply_is_read_by_the_thread_that_waits(client: Client, worker: FakeWorker) -> None:
    """No other thread reads it."""
    call = send(client, 3)
    assert type(call) is DirectCall
    resolved_by: list[str] = []
    call.when_done(lambda _: resolved_by.append(threading.current_thread().name))
    worker.take().run()
    assert call.result() == 9
    assert call.result(0) == 9
    assert resolved_by == [threading.current_thread().name]
    assert all_idle(client)


def test_consecutive_calls_share_one_direct_connection(
    client: Client, worker: FakeWorker, server: Server
) -> None:
    keys = set()
    for number in range(5):
        call = send(client, number)
        taken = worker.take()
        keys.add(taken.envelope["properties"]["reply_to"])
        taken.run()
        assert call.result(DEADLINE) == number * number
    assert len(keys) == 1
    assert len(client._direct._all) == 1


def test_an_idle_direct_connection_keeps_no_reference_to_its_last_call(
    client: Client, worker: FakeWorker
) -> None:
    """Its result may be large."""
    call = send(client, 3)
    worker.take().run()
    assert call.result(DEADLINE) == 9
    (own,) = client._direct._all
    assert own._call is None
    assert own._batch is None
    call.direct = own  # As if another thread had read the reply just now.
    assert call.result(DEADLINE) == 9


@pytest.mark.usefixtures("impatient")
def test_the_receiver_reads_the_reply_of_a_slow_call(
    client: Client, worker: FakeWorker, pool: ThreadPoolExecutor, eventually: Eventually
) -> None:
    value = pool.submit(send(client, 3).result)
    taken = worker.take()
    eventually(lambda: list(client._direct.keys) == [taken.envelope["properties"]["reply_to"]])
    taken.run()
    assert value.result(DEADLINE) == 9
    client._direct.look_after()
    assert not client._direct.keys
    assert all_idle(client)


def test_a_caller_who_loses_patience_can_come_back(
    client: Client, worker: FakeWorker, eventually: Eventually
) -> None:
    call = send(client, 3)
    with pytest.raises(ResultTimeoutError, match=r"within timeout=0 s"):
        call.result(0.01)
    client._direct.look_after()  # As the receiver does; there is nothing to read.
    worker.take().run()
    assert call.result(DEADLINE) == 9
    eventually(lambda: all_idle(client))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("soon", [True, False])
def test_a_direct_call_is_resolved_although_no_caller_waits(
    client: Client, worker: FakeWorker, eventually: Eventually, soon: bool
) -> None:
    """The threads that look at it in another way resolve it."""
    call = send(client, 3)
    if not soon:
        eventually(lambda: bool(client._direct.keys))
    worker.take().run()
    eventually(call.done)
    eventually(lambda: all_idle(client))


def test_a_caller_who_is_interrupted_before_it_reads_leaves_the_reply_to_the_receiver(
    client: Client, worker: FakeWorker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    call = send(client, 3)
    with monkeypatch.context() as context:
        context.setattr(direct.DirectConnection, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call.result()
    worker.take().run()
    eventually(lambda: call.done() and all_idle(client))
    assert call.result() == 9


def test_an_answer_that_does_not_arrive_in_time_is_read_over_another_connection(
    client: Client, worker: FakeWorker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was lost on its way. The list is read over another connection."""
    call = send(client, 3)
    (own,) = client._direct._all
    monkeypatch.setattr(own._connection, "readable", lambda _: False)
    with pytest.raises(ResultTimeoutError):
        call.result(0.01)
    monkeypatch.setattr(direct, "ANSWER_WITHIN", -direct.FIRST_WAIT)
    eventually(lambda: all_idle(client))
    worker.take().run()
    assert call.result(DEADLINE) == 9


def test_a_late_second_reply_of_an_earlier_call_does_no_harm(
    client: Client, worker: FakeWorker
) -> None:
    """The broker may deliver a message twice."""
    first = send(client, 3)
    taken = worker.take()
    taken.run()
    taken.run()
    assert first.result(DEADLINE) == 9
    second = send(client, 4)
    worker.take().run()
    assert second.result(DEADLINE) == 16


def test_a_call_whose_function_is_missing_is_sent_again_and_gets_its_value(
    client: Client, worker: FakeWorker, server: Server, pool: ThreadPoolExecutor
) -> None:
    call = send(client, 3)
    value = pool.submit(call.result)
    taken = worker.take()
    function = function_key(taken.batch.function)
    payload = connect(server.url).getdel(function)
    taken.run()
    again = worker.take()
    assert connect(server.url).get(function) == payload
    again.run()
    assert value.result(DEADLINE) == 9


def test_more_callers_than_lines_share_the_common_list(
    client: Client, worker: FakeWorker, pool: ThreadPoolExecutor
) -> None:
    calls = [send(client, number) for number in range(direct.MOST + 2)]
    assert [call.direct is None for call in calls] == [False] * direct.MOST + [True] * 2
    values = [pool.submit(call.result) for call in calls]
    for _ in calls:
        worker.take().run()
    assert [value.result(DEADLINE) for value in values] == [
        number * number for number in range(len(calls))
    ]
    assert all_idle(client)


def test_a_full_redis_is_an_error_for_a_call_without_a_free_direct_connection(
    client: Client, worker: FakeWorker, server: Server
) -> None:
    calls = [send(client, number) for number in range(direct.MOST)]
    redis = connect(server.url)
    redis.config_set("maxmemory", 1)
    with pytest.raises(BrokerFullError, match=r"MB used, maxmemory is"):
        send(client, 3)
    redis.config_set("maxmemory", 0)
    for call in calls:
        worker.take().run()
        call.result(DEADLINE)


def test_one_of_several_waiting_threads_reads_the_reply_and_all_get_the_value(
    client: Client, worker: FakeWorker, pool: ThreadPoolExecutor
) -> None:
    """The other is told, as it would be of any call."""
    call = send(client, 3)
    own = call.direct
    assert own.claim(call)
    assert not own.claim(call)
    call.direct = own
    values = [pool.submit(call.result) for _ in range(4)]
    worker.take().run()
    assert [value.result(DEADLINE) for value in values] == [9] * 4


def test_a_broker_that_goes_away_and_comes_back_loses_no_waiting_caller(
    client: Client, worker: FakeWorker, server: Server, pool: ThreadPoolExecutor
) -> None:
    value = pool.submit(send(client, 3).result)
    taken = worker.take()
    worker.functions.load(taken.batch.function)
    server.stop()
    server.start()
    taken.run()
    assert value.result(DEADLINE) == 9


def test_a_caller_with_little_time_is_told_in_time_though_the_broker_is_gone(
    client: Client, worker: FakeWorker, server: Server
) -> None:
    call = send(client, 3)
    server.stop()
    with pytest.raises(ResultTimeoutError):
        call.result(0.2)


def test_a_connection_that_was_cut_off_while_idle_serves_the_next_call(
    client: Client, worker: FakeWorker, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller sees nothing of it."""
    monkeypatch.setattr(pipelined, "IDLE", 0.0)
    for number in range(3):
        call = send(client, number)
        worker.take().run()
        assert call.result(DEADLINE) == number * number
        (own,) = client._direct._all
        own._connection.send(("CLIENT", "ID"))
        assert connect(server.url).client_kill_filter(_id=own._connection.read()) == 1


def test_a_broker_that_refuses_the_message_is_an_error_at_once(
    client: Client, worker: FakeWorker, server: Server
) -> None:
    """Such as one that has no memory left. The next call is not harmed."""
    call = send(client, 2)  # The function is there.
    worker.take().run()
    call.result(DEADLINE)
    redis = connect(server.url)
    redis.config_set("maxmemory", 1)
    with pytest.raises(BrokerFullError, match=r"MB used, maxmemory is"):
        send(client, 3)
    assert not client._pending.sent
    redis.config_set("maxmemory", 0)
    call = send(client, 4)
    worker.take().run()
    assert call.result(DEADLINE) == 16


def test_closing_the_client_ends_the_wait_of_a_caller(
    client: Client, pool: ThreadPoolExecutor, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller does not wait to the end of its own time first."""
    monkeypatch.setattr(direct, "FIRST_WAIT", 3 * DEADLINE)
    value = pool.submit(send(client, 3).result)
    taken = worker.take()
    client.close()
    with pytest.raises(CallCancelledError):
        value.result(DEADLINE / 2)
    assert not connect(client._url).exists(taken.envelope["properties"]["reply_to"])


def test_after_an_interrupted_wait_the_receiver_reads_the_reply(
    client: Client, worker: FakeWorker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = send(client, 3)
    with monkeypatch.context() as context:
        context.setattr(PipelinedConnection, "read", interrupt)
        with pytest.raises(KeyboardInterrupt):
            call.result()
    worker.take().run()
    assert call.result(DEADLINE) == 9
    eventually(lambda: all_idle(client))


def test_an_interrupt_while_sending_takes_the_call_back(
    client: Client, worker: FakeWorker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other thread knows the call, and this one does not know whether it was sent."""
    with monkeypatch.context() as context:
        context.setattr(PipelinedConnection, "read", interrupt)
        with pytest.raises(KeyboardInterrupt):
            send(client, 3)
    eventually(lambda: not client._pending.sent)
    eventually(lambda: not client._direct.keys)
    assert worker.waiting() == 0
    assert all_idle(client)


def test_an_interrupt_while_the_reply_is_processed_leaves_the_connection_usable(
    client: Client, worker: FakeWorker, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = send(client, 3)
    worker.take().run()
    with monkeypatch.context() as context:
        context.setattr(client._direct, "take", interrupt)
        with pytest.raises(KeyboardInterrupt):
            call.result()
    eventually(lambda: all_idle(client))
    call = send(client, 4)
    worker.take().run()
    assert call.result(DEADLINE) == 16


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
