"""Values in Redis, on a real one."""

import os
import threading
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from distribute_challenge.errors import BrokerUnreachableError, StoreFullError
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.security import TRAILER_LENGTH, Keyring
from distribute_challenge.stores import RedisStore, open_store
from distribute_challenge.stores import redis as stores_redis
from distribute_challenge.stores.redis import VALUE_EXPIRY, value_key
from tests.execution_backends.celery.conftest import Server
from tests.processes import wait_until
from tests.secret import KEYRING, SECRET


@pytest.fixture
def store(connection: redis.Redis) -> RedisStore:
    return RedisStore(connection, "client", KEYRING)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store put no more than 1000 bytes under one key."""
    monkeypatch.setattr(stores_redis, "PART", 1000)
    monkeypatch.setattr(stores_redis, "PIECE", 300)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [0, 1, 299, 300, 1000, 1001, 2000, 5555])
def test_a_large_value_is_stored_in_parts(
    store: RedisStore, connection: redis.Redis, size: int
) -> None:
    """Redis refuses strings of more than 512 MB."""
    data = memoryview(os.urandom(size))
    store.put("a", data)
    assert len(connection.keys()) == max(1, -(-size // 1000))
    assert store.get("a", size) == data
    assert store.holds("a", size)
    store.delete(["a"])
    assert connection.keys() == []


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("gone", [0, 1, 4, 5])
def test_a_value_with_a_missing_part_is_treated_as_missing(
    store: RedisStore, connection: redis.Redis, gone: int
) -> None:
    """The connection is as good as before."""
    data = memoryview(os.urandom(5555))
    store.put("a", data)
    store.put("b", data)
    connection.delete(f"{value_key('client', 'a')}:{gone}")
    assert store.get("a", 5555) is None
    assert not store.holds("a", 5555)
    assert store.get("b", 5555) == data


def test_a_value_is_stored_under_the_documented_key(
    store: RedisStore, connection: redis.Redis
) -> None:
    """The name has its client's id. The signature stands behind the value."""
    store.put("a", memoryview(b"content"))
    found = connection.get("distribute_challenge:value:client:a")
    assert found is not None
    assert found[:-TRAILER_LENGTH] == b"content"
    assert found[-TRAILER_LENGTH:].startswith(b"DCS1")


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("encrypt", [False, True], ids=["signed", "encrypted"])
@pytest.mark.parametrize("size", [7, 5555])
def test_a_changed_or_moved_value_is_treated_as_missing(
    connection: redis.Redis, size: int, encrypt: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A changed byte or signature, another client's name or another secret: `get` finds nothing."""
    store = RedisStore(connection, "client", Keyring(SECRET, encrypt=encrypt))
    data = memoryview(os.urandom(size))
    store.put("a", data)
    assert RedisStore(connection, "client", KEYRING).get("a", size) == data
    found = {key: connection.get(key) or b"" for key in sorted(connection.keys())}
    assert (bytes(data[:7]) in b"".join(found.values())) != encrypt
    first, last = next(iter(found)), list(found)[-1]
    seal = found[last][-TRAILER_LENGTH:]
    for key, changed in (
        (first, bytes([found[first][0] ^ 1]) + found[first][1:]),
        (last, found[last][:-1] + bytes([found[last][-1] ^ 1])),
        (last, found[last][:-TRAILER_LENGTH] + b"DCS9" + seal[4:]),
        (last, b"short"),
    ):
        connection.set(key, changed)
        assert store.get("a", size) is None
        connection.set(key, found[key])
    assert store.get("a", size) == data
    for key, content in found.items():
        connection.set(key.replace(b":client:", b":other:"), content)
    assert RedisStore(connection, "other", KEYRING).get("a", size) is None
    assert (
        RedisStore(connection, "client", Keyring("another-secret-of-the-length-needed")).get(
            "a", size
        )
        is None
    )
    assert "refused a large value in Redis (its signature is wrong" in caplog.text


def test_values_that_are_not_renewed_expire(
    store: RedisStore, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis itself removes the values of a killed client."""
    monkeypatch.setattr(stores_redis, "VALUE_EXPIRY", 1)
    store.put("a", memoryview(b"content"))
    wait_until(lambda: not connection.keys(), "the value's expiry")


@pytest.mark.usefixtures("small_parts")
def test_renewing_keeps_all_parts_for_longer(
    store: RedisStore, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store renews at a third of the time only, and ignores values of other clients."""
    store.put("a", memoryview(bytes(5555)))
    names = connection.keys()

    def shorten() -> None:
        for name in names:
            connection.expire(name, 5)

    shorten()
    store.renew(["a", "other"])
    assert all(connection.ttl(name) <= 5 for name in names)
    monkeypatch.setattr(store, "_renewed", store._renewed - VALUE_EXPIRY / 3)
    store.renew(["a", "other"])
    assert all(connection.ttl(name) > 50 for name in names)
    shorten()
    store.renew(["a"])
    assert all(connection.ttl(name) <= 5 for name in names)


@pytest.mark.usefixtures("small_parts")
def test_parts_do_not_expire_while_the_others_are_on_their_way(
    store: RedisStore, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a slow network, a large value takes longer than parts of a killed client stay."""
    real = stores_redis._set

    def after_long(name: str, *rest: Any, **options: Any) -> object:
        for earlier in store.keys_of("a", 5555):
            connection.expire(earlier, 5)
        return real(name, *rest, **options)

    monkeypatch.setattr(stores_redis, "_set", after_long)
    monkeypatch.setattr(
        stores_redis, "clock", SimpleNamespace(monotonic=count(0, VALUE_EXPIRY).__next__)
    )
    store.put("a", memoryview(bytes(5555)))
    assert all(connection.ttl(name) > 50 for name in store.keys_of("a", 5555))


def test_closing_one_client_leaves_the_values_of_another(
    store: RedisStore, connection: redis.Redis
) -> None:
    """One's end is not the other's."""
    other = RedisStore(connection, "other", KEYRING)
    store.put("a", memoryview(b"1"))
    other.put("a", memoryview(b"2"))
    other.close()
    assert store.get("a", 1) == b"1"


def test_a_full_redis_raises_an_error_that_says_what_to_do(
    store: RedisStore, connection: redis.Redis
) -> None:
    """The store is as good as before."""
    connection.config_set("maxmemory", "10mb")
    try:
        with pytest.raises(
            StoreFullError, match=r"no room to take a value of 20.0 MB .*maxmemory.*CHALLENGE_STORE"
        ):
            store.put("a", memoryview(bytes(20_000_000)))
        assert connection.keys() == []
    finally:
        connection.config_set("maxmemory", "0")
    store.put("b", memoryview(b"1"))
    assert store.get("b", 1) == b"1"


@pytest.mark.usefixtures("small_parts")
def test_a_value_that_fits_only_in_part_is_removed(
    store: RedisStore, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts that went in come out."""
    real = stores_redis._set

    def refused_at_last(name: str, *rest: Any, **options: Any) -> object:
        return (
            real(name, *rest, **options)
            if not name.endswith(":5")
            else [b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n"]
        )

    monkeypatch.setattr(stores_redis, "_set", refused_at_last)
    with pytest.raises(
        BrokerUnreachableError,
        match=r"Redis did not take a value of 5.[0-9] kB \(wrong number of arguments",
    ):
        store.put("a", memoryview(bytes(5555)))
    assert connection.keys() == []


def test_a_slow_value_does_not_hold_up_other_commands(
    store: RedisStore, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that takes replies frees values meanwhile."""
    store.put("b", memoryview(b"1"))
    real, begun, go_on = stores_redis._set, threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> object:
        for part in real(*arguments, **options):
            yield part
            begun.set()
            assert go_on.wait(60)

    monkeypatch.setattr(stores_redis, "_set", slow)
    putting = threading.Thread(target=store.put, args=("a", memoryview(b"2")))
    putting.start()
    assert begun.wait(60)
    store.delete(["b"])
    assert connection.keys() == []
    go_on.set()
    putting.join()
    assert store.get("a", 1) == b"2"


def test_a_server_that_is_gone_is_named_as_such(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Methods whose caller waits for an answer raise. Tidying up fails in silence."""
    server = Server(tmp_path_factory.mktemp("r"))
    server.start()
    with connect(server.url) as connection:
        store = RedisStore(connection, "client", KEYRING)
        store.put("a", memoryview(b"1"))
        server.stop()
        with pytest.raises(BrokerUnreachableError, match="did not take a value of 1 bytes"):
            store.put("b", memoryview(b"1"))
        with pytest.raises(BrokerUnreachableError, match="did not give a value"):
            store.get("a", 1)
        with pytest.raises(BrokerUnreachableError, match="did not say"):
            store.holds("a", 1)
        store._renewed -= VALUE_EXPIRY
        store.renew(["a"])
        store.delete(["a"])
        store.close()


def test_a_worker_without_redis_cannot_open_the_store(store: RedisStore) -> None:
    """Then another place may help."""
    assert open_store(store.name, KEYRING, None) is None


@pytest.mark.usefixtures("small_parts")
def test_a_result_taken_over_by_the_client_is_renewed_and_freed(
    store: RedisStore, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client renews and frees all its parts."""
    RedisStore(connection, "client", KEYRING).put("a", memoryview(bytes(2500)))
    store.take_over("a", 2500)
    connection.persist(f"{value_key('client', 'a')}:2")
    monkeypatch.setattr(store, "_renewed", 0.0)
    store.renew(["a"])
    assert all(connection.ttl(key) > 0 for key in connection.scan_iter())
    store.close()
    assert connection.keys() == []
