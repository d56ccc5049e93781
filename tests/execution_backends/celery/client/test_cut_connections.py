"""Connections break, fall silent, or meet a server that is still loading; the client goes on."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from benchmarks.rig.proxy import Proxy
from distribute_challenge import compute_this
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import connection as connection_module
from distribute_challenge.execution_backends.celery.broker.connection import (
    check_reachable,
    connect,
    reconnect_pause,
)
from distribute_challenge.execution_backends.celery.broker.keys import UNACKED, sent_key
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server

pytestmark = pytest.mark.slow

BUSY = 45  # Seconds on top of a promise: the machine runs other tests, too.


@compute_this
def square(x: int) -> int:
    return x * x


@compute_this(at_most_once=True)
def once(x: int) -> int:
    return x * x


def test_a_client_recovers_from_cut_connections(
    distant: CeleryExecutionBackend, proxy: Proxy, worker: FakeWorker
) -> None:
    """It gets values of calls that ran meanwhile, and of new ones.

    Redis may not have seen yet that the old connection is dead, and give it the reply: then the
    call is sent again.
    """
    future = square(3).submit(distant)
    taken = worker.take()
    proxy.cut()
    taken.run()
    worker.serve([future])
    proxy.cut()
    other = square(4).submit(distant)
    worker.serve([other])
    assert [future.result(), other.result()] == [9, 16]


def test_a_connection_that_fell_silent_is_given_up_within_15_seconds(
    distant: CeleryExecutionBackend, proxy: Proxy, worker: FakeWorker
) -> None:
    """The receiver, the sender and threads that wait at their own connection give it up."""
    warm = square(1).submit(distant)
    worker.take().run()
    assert warm.result(DEADLINE) == 1
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(square(2).compute, distant)
        direct = worker.take()
        future = square(3).submit(distant)
        taken = worker.take()
        proxy.silence()
        sent_into_silence = square(4).submit(distant)
        began = time.monotonic()
        taken.run()
        direct.run()
        worker.serve([sent_into_silence])
        # Their replies may have gone into the silence, too: then they are sent again.
        worker.serve([future, waiting])
        assert time.monotonic() - began < 15 + BUSY
        assert [waiting.result(), future.result(), sent_into_silence.result()] == [4, 9, 16]


class Deaf:
    """A Redis client whose first commands arrive, while their answers do not."""

    def __init__(self, client: redis.Redis, times: int) -> None:
        self._client = client
        self._times = times

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._client, name)
        if name not in ("lpush", "run"):
            return command

        def deaf(*arguments: Any) -> Any:
            answer = command(*arguments)
            if self._times:
                self._times -= 1
                raise redis.TimeoutError("no answer")
            return answer

        return deaf


@pytest.mark.parametrize("function", [square, once])
def test_a_message_that_arrived_is_not_sent_twice(
    function: Any, backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The sender does not know that it arrived."""
    publisher: Any = backend._connected()._publisher
    publisher._connection = Deaf(publisher._connection, 1)
    arrived, publish = threading.Event(), publisher.publish

    def watched(*arguments: Any) -> None:
        publish(*arguments)
        arrived.set()

    publisher.publish = watched
    future = function(3).submit(backend)
    assert arrived.wait(DEADLINE)
    assert publisher._connection._times == 0
    taken = worker.take()
    worker.connection.hset(UNACKED, taken.envelope["properties"]["delivery_tag"], "")
    other = square(4).submit(backend)
    worker.take().run()
    assert other.result(DEADLINE) == 16
    assert worker.waiting() == 0
    taken.run()
    assert future.result(DEADLINE) == 9
    if function is once:
        assert worker.connection.ttl(sent_key(taken.envelope["properties"]["delivery_tag"])) > 3000


def test_connections_over_a_network_are_kept_alive() -> None:
    """Connections on this machine need no keep-alive."""
    kwargs = connect("redis://example.org").connection_pool.connection_kwargs
    assert kwargs["socket_keepalive"]
    assert kwargs["socket_keepalive_options"][socket.TCP_KEEPIDLE] == 5
    assert kwargs["socket_timeout"] <= 10
    assert (
        "socket_keepalive"
        not in connect("redis+socket:///run/redis.sock").connection_pool.connection_kwargs
    )


def test_reconnect_pauses_vary_without_changing_the_random_numbers_of_the_user() -> None:
    import random

    random.seed(7)
    expected = random.random()
    random.seed(7)
    pauses = {reconnect_pause() for _ in range(100)}
    assert len(pauses) > 90
    assert all(0.2 < pause < 0.8 for pause in pauses)
    assert random.random() == expected


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A server that says so many times that it is loading."""
    left = [2]
    ping = redis.Redis.ping

    def busy(self: redis.Redis, **arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise redis.BusyLoadingError("Redis is loading the dataset in memory")
        return ping(self, **arguments)

    monkeypatch.setattr(redis.Redis, "ping", busy)
    return left


def test_check_reachable_waits_for_a_server_that_is_loading(
    server: Server, loading: list[int]
) -> None:
    check_reachable(server.url)
    assert loading == [0]


def test_check_reachable_raises_if_the_server_keeps_loading(
    server: Server, loading: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "ANSWER_WITHIN", 0.1)
    loading[0] = 1000
    with pytest.raises(BrokerUnreachableError, match="loading"):
        check_reachable(server.url)
