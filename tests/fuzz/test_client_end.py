"""Mutated data that comes to a client: replies over a real Redis, and values from the store."""

import json
import logging
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from distribute_challenge import compute_this
from distribute_challenge.core.messages import Problem, Reply
from distribute_challenge.core.section import Section
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.client import lost_messages
from distribute_challenge.execution_backends.celery.client.client import Client
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.serialisation import pickling
from distribute_challenge.stores import FsspecStore, RedisStore
from distribute_challenge.stores.redis import value_key
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server
from tests.fuzz.mutation import Mutator, bombs
from tests.secret import SECRET

pytestmark = pytest.mark.slow

OTHER = Keyring("another-secret-of-the-length-that-is-needed")


@compute_this
def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def worker(server: Server) -> Iterator[FakeWorker]:
    with FakeWorker(server.url) as worker:
        yield worker
        worker.connection.flushall()


def client_of(backend: CeleryExecutionBackend) -> Client:
    client = backend._client
    assert client is not None
    return client


def test_forged_replies_resolve_no_call_and_the_genuine_reply_does(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client unpickles none of them, and gets answers to other calls in between and after."""
    # No worker holds the message while the test lasts.
    monkeypatch.setattr(lost_messages, "GRACE", 600.0)
    future = double(4).submit(backend)
    taken = worker.take()
    client, mutator = client_of(backend), Mutator(11)
    key, keyring = taken.batch.reply_to, client._keyring
    (frame,) = taken.replies()
    true = keyring.seal(Purpose.reply(key), [frame])
    forged = [
        OTHER.seal(Purpose.reply(key), [frame]),
        keyring.seal(Purpose.reply("distribute_challenge:replies:another"), [frame]),
        keyring.seal(Purpose.BATCH, [frame]),
        frame,
        taken.sealed,
        *bombs(tmp_path / "marker"),
    ]
    with monkeypatch.context() as context:

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("something was unpickled")

        context.setattr(pickling.pickle, "loads", refuse)
        before = keyring.refusals.total
        for sealed in forged:
            assert client._receiver.deliver(key, sealed) is None
        assert keyring.refusals.total == before + len(forged)
        count = 0
        for _ in range(15_000):
            sealed = mutator.raw([true, true, *forged])
            if sealed not in (b"", true):
                assert client._receiver.deliver(key, sealed) is None
                count += 1
        assert keyring.refusals.total == before + len(forged) + count
    assert not (tmp_path / "marker").exists()
    assert not future.done()
    for sealed in forged:  # Over Redis, as they would come.
        worker.connection.rpush(key, sealed)
    worker.connection.rpush(key, true)
    assert future.result(DEADLINE) == 8
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) < 60


def test_malformed_replies_with_a_valid_signature_do_not_end_a_client(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """If an attacker can sign, each call still ends, and the client serves the next one."""
    assert_served(backend, worker)
    client, mutator = client_of(backend), Mutator(12)
    threads = [client._sender_thread, client._receiver_thread]
    valid = [
        Reply(
            "?",
            "w",
            1.0,
            sections=[Section("value", 1, b"\x80\x04K\x01.")],
            finishes=array("d", [2.0]),
        ),
        Reply(
            "?",
            "w",
            1.0,
            sections=[Section("values", 1, b"\x80\x04]K\x01a.")],
            finishes=array("d", [2.0]),
            kept=1,
        ),
        Reply(
            "?", "w", 1.0, sections=[Section("error", 1, b"\x80\x04N.")], finishes=array("d", [2.0])
        ),
        Reply("?", "w", 1.0, problem=Problem("lost", "died", {"pid": 1})),
        Reply("?", "w", 1.0, problem=Problem("value_missing", "a b")),
        Reply("?", "w", 1.0, problem=Problem("version", "another")),
        Reply("?", "w", 1.0, problem=Problem("no such kind", "")),
    ]
    refused, ended = 0, 0
    future, taken = None, None
    for number in range(3_000):
        if future is None or future.done():
            ended += future is not None
            future = double(number).submit(backend)
            taken = worker.take()
        assert taken is not None
        fields = mutator.random.choice(valid)
        frame = _changed(mutator, fields, taken.batch.id)
        sealed = client._keyring.seal(Purpose.reply(taken.batch.reply_to), [frame])
        before = client._keyring.refusals.total
        client._receiver.deliver(taken.batch.reply_to, sealed)
        refused += client._keyring.refusals.total - before
        if worker.waiting() and not future.done():
            taken = worker.take()  # It was sent again, alone.
    assert refused > 500
    assert ended > 100
    assert [thread for thread in threads if not thread.is_alive()] == []
    last = double(21).submit(backend)
    worker.serve([last])
    assert last.result(DEADLINE) == 42


def _changed(mutator: Mutator, reply: Reply, batch: str) -> bytes:
    frame = reply.encode()
    end = 8 + int.from_bytes(frame[4:8], "big")
    header = json.loads(frame[8:end])
    header["batch"] = batch
    changed = mutator.json(header) if mutator.random.random() < 0.8 else header
    blobs = frame[end:]
    if mutator.random.random() < 0.5:
        # Of the same length, or nothing but the length would be found out.
        blobs = bytes(mutator.raw([blobs or b"x"]).ljust(len(blobs), b"\x00")[: len(blobs)])
    text = json.dumps(changed).encode()
    return frame[:4] + len(text).to_bytes(4, "big") + text + blobs


def test_a_reply_to_another_list_of_the_same_client_is_refused(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Each list has its own seal, so an attacker cannot send one call's reply to another."""
    future = double(4).submit(backend)
    taken = worker.take()
    (frame,) = taken.replies()
    client = client_of(backend)
    direct = f"{taken.batch.reply_to}:1"
    before = client._keyring.refusals.total
    assert (
        client._receiver.deliver(
            taken.batch.reply_to, client._keyring.seal(Purpose.reply(direct), [frame])
        )
        is None
    )
    assert client._keyring.refusals.total == before + 1
    taken.run()
    assert future.result(DEADLINE) == 8
    # Once more, as it was: its call is over.
    taken.run()
    again = double(5).submit(backend)
    worker.serve([again])
    assert again.result(DEADLINE) == 10


def test_keys_of_the_wrong_type_do_not_end_a_client(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A program that may write can stop a cluster, but afterwards the same client goes on."""
    assert_served(backend, worker)
    key = client_of(backend)._session.replies
    worker.connection.delete(key)
    for name in (key, "distribute_challenge:workers", "distribute_challenge:clients"):
        worker.connection.set(name, b"nonsense")
    future = double(1).submit(backend)
    taken = worker.take()
    worker.connection.delete(key, "distribute_challenge:workers", "distribute_challenge:clients")
    taken.run()
    assert future.result(DEADLINE) == 2
    assert_served(backend, worker)


def assert_served(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    future = double(3).submit(backend)
    worker.serve([future])
    assert future.result(DEADLINE) == 6


@pytest.mark.parametrize("encrypt", [False, True], ids=["signed", "encrypted"])
def test_mutated_values_in_redis_are_treated_as_missing(
    server: Server, encrypt: bool, tmp_path: Path
) -> None:
    """They are in Redis, and are changed, cut, moved or of another kind. The client counts them."""
    connection, mutator = connect(server.url), Mutator(13)
    keyring = Keyring(SECRET, encrypt=encrypt)
    store = RedisStore(connection, "fuzzed", keyring)
    data = memoryview(mutator.random.randbytes(3000))
    for name in ("a", "b"):
        store.put(name, data)
    valid = [connection.get(value_key("fuzzed", name)) or b"" for name in ("a", "b")]
    pickles = bombs(tmp_path / "marker")
    for number in range(1_500):
        changed = mutator.raw([*valid, *pickles])
        connection.set(value_key("fuzzed", "a"), changed)
        # The store reads a value's beginning and end. It does not read bytes added in between.
        assert store.get("a", data.nbytes) in (None, data), number
    connection.set(value_key("fuzzed", "a"), valid[1])
    assert store.get("a", data.nbytes) is None
    for put in (
        lambda name: connection.rpush(name, b"x"),
        lambda name: connection.hset(name, "a", b"x"),
    ):
        connection.delete(value_key("fuzzed", "a"))
        put(value_key("fuzzed", "a"))
        assert store.get("a", data.nbytes) is None
    connection.delete(value_key("fuzzed", "a"))
    connection.set(value_key("fuzzed", "a"), valid[0])
    assert store.get("a", data.nbytes) == data
    assert keyring.refusals.total > 300
    assert not (tmp_path / "marker").exists()
    store.close()


def test_mutated_values_in_files_are_treated_as_missing(tmp_path: Path) -> None:
    """The store finds no changed value in a folder that all machines share, either."""
    mutator, keyring = Mutator(14), Keyring(SECRET)
    store = FsspecStore(f"file://{tmp_path}/shared", "fuzzed", keyring)
    data = memoryview(mutator.random.randbytes(500))
    for name in ("a", "b"):
        store.put(name, data)
    path = tmp_path / "shared" / "distribute_challenge-fuzzed" / "a"
    valid, other = path.read_bytes(), path.with_name("b").read_bytes()
    for number in range(2_000):
        path.write_bytes(mutator.raw([valid, other]))
        assert store.get("a", data.nbytes) in (None, data), number
    path.write_bytes(valid)
    assert store.get("a", data.nbytes) == data
    assert store.get("a", data.nbytes + 1) is None
    assert keyring.refusals.total > 1_500
    store.close()


def test_errors_of_the_broker_do_not_end_the_receiver(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver goes on when it is over."""
    assert_served(backend, worker)
    client = client_of(backend)
    real, failures = (
        client._session.connection.blpop,
        iter([redis.ResponseError("ERR nonsense")] * 2),
    )

    def failing(*arguments: Any, **options: Any) -> Any:
        for error in failures:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(client._session.connection, "blpop", failing)
    assert_served(backend, worker)
