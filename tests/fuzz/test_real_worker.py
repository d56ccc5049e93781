"""A real worker gets all that a program without the secret can write to Redis."""

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner

from distribute_challenge import attach, compute_this
from distribute_challenge.cli import main
from distribute_challenge.core.messages import Batch, FunctionPayload
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.commands import SCALE, sign_command
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.control import scale
from distribute_challenge.execution_backends.celery.broker.keys import (
    DETACHED_OPEN,
    UNACKED,
    detached_key,
    function_key,
    outcome_key,
)
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.settings import DEFAULT_QUEUE as QUEUE
from tests.execution_backends.celery.conftest import Server
from tests.fuzz.checks import NASTY, assert_log_is_clean, assert_serves, refused, refused_by_now
from tests.fuzz.gate import OTHER_COMMANDS, celery_messages, command_envelope
from tests.fuzz.mutation import Mutator, bombs
from tests.processes import PATIENCE, Program, wait_until
from tests.secret import KEYRING
from tests.workers import start_worker

pytestmark = [pytest.mark.celery, pytest.mark.slow]

PIDBOX = "/0.celery.pidbox"


def batch(**fields: Any) -> Batch:
    given = {
        "id": "stranger-1",
        "function": "d" * 64,
        "name": "f",
        "arguments": [b"\x80\x04K\x01."],
        "reply_to": "unread",
    }
    return Batch(**{**given, "issued": time.time(), **fields})


def test_mutated_messages_in_the_queue_are_refused_and_counted(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """Are refused, counted, and logged once for each kind; calls between them are served."""
    connection, mutator = connect(server.url), Mutator(21)
    assert_serves(backend, real_worker)
    before = refused_by_now(connection)
    valid = message_for(batch(), queue=QUEUE, priority=5, keyring=Keyring.insecure())
    sealed = base64.b64decode(json.loads(valid.data)["body"])
    pickles = bombs(tmp_path / "marker")
    sent = 0
    for _ in range(6):
        for _ in range(500):
            if mutator.random.random() < 0.5:
                data = mutator.raw([valid.data, *pickles])
            else:
                body = base64.b64encode(mutator.raw([sealed, *pickles])).decode()
                data = json.dumps(
                    {"body": body, "rest": mutator.json(json.loads(valid.data))}
                ).encode()
            key = (
                f"{QUEUE}\x06\x16{mutator.random.randrange(1, 10)}"
                if mutator.random.random() < 0.8
                else QUEUE
            )
            (connection.lpush if mutator.random.random() < 0.5 else connection.rpush)(key, data)
            sent += 1
        assert_serves(backend, real_worker)
    for envelope in celery_messages().values():
        connection.lpush(QUEUE, json.dumps(envelope))
        sent += 1
    wait_until(lambda: refused(connection) - before == sent, "all are counted")
    assert not (tmp_path / "marker").exists()
    assert_serves(backend, real_worker)
    status = CliRunner().invoke(main, ["status", "--broker", server.url]).output
    assert str(before + sent) in status
    assert (
        real_worker.output.count("refused a message (signed with another secret), number 1 ") == 1
    )
    assert len(real_worker.output) < 200_000


def test_mutated_commands_on_the_remote_control_channel_are_refused(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend
) -> None:
    """They come by remote control. Some are no JSON, or very deep."""
    connection, mutator = connect(server.url), Mutator(22)
    before = refused_by_now(connection)
    valid = [
        command_envelope("ping"),
        command_envelope(SCALE, {"command": "x"}),
        command_envelope("stats"),
        command_envelope("active"),
    ]
    for place in (PIDBOX, "/0.celeryev", "/0.celery.pidbox/x", "/0.x"):
        connection.publish(place, "[" * 1_000_000)
        connection.publish(place, b'{"x":' * 100_000)
        connection.publish(place, b"\xff" * 1000)
        connection.publish(place, b"1")
    for number in range(1_500):
        changed = mutator.json(mutator.random.choice(valid))
        if number % 2 and isinstance(changed, dict):
            body = json.loads(base64.b64decode(mutator.random.choice(valid)["body"]))
            changed["body"] = base64.b64encode(mutator.text(body)).decode()
        connection.publish(PIDBOX, json.dumps(changed))
    assert_serves(backend, real_worker)
    wait_until(lambda: refused(connection) > before + 500, "they are counted")
    assert_serves(backend, real_worker)
    assert real_worker.process.poll() is None


def test_malformed_entries_of_unacknowledged_messages_do_not_end_a_worker(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend
) -> None:
    """Entries of messages in work that look as if their worker had died."""
    connection, mutator = connect(server.url), Mutator(23)
    data = message_for(batch(), queue=QUEUE, priority=5, keyring=Keyring.insecure()).data
    entry = json.dumps([json.loads(data), "", QUEUE]).encode()
    strange = [
        b"",
        b"null",
        b"[" * 200_000,
        b'["a", "b", "c"]',
        b"[1, 2, 3]",
        b'[{}, "", ""]',
        b"\xff\xfe",
    ]
    for number, value in enumerate([*strange, *(mutator.raw([entry]) for _ in range(100))]):
        connection.hset(UNACKED, f"tag{number}", value)
        connection.zadd(f"{UNACKED}_index", {f"tag{number}": number})
    connection.zadd(f"{UNACKED}_index", {b"\xff\xff": 1.0, "not there": 2.0})
    wait_until(lambda: connection.exists(UNACKED) == 0, "the books are empty")
    assert_serves(backend, real_worker)


def test_forged_text_in_redis_reaches_neither_the_log_nor_a_signed_reply(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend
) -> None:
    """The text stands in the name of a message's holder, and in records of detached calls."""
    connection = connect(server.url)
    reply_to = "replies-of-a-client"
    data = message_for(batch(reply_to=reply_to), queue=QUEUE, priority=5, keyring=KEYRING).data
    head = json.dumps({"host": NASTY, "pid": NASTY, "key": NASTY}).encode() + b"\n"
    connection.hset(UNACKED, NASTY, head + data)
    connection.zadd(f"{UNACKED}_index", {NASTY: 1.0})
    connection.zadd(DETACHED_OPEN, {"": 0.0, NASTY: 0.0, "f" * 32: 0.0})
    connection.hset(
        detached_key("f" * 32),
        mapping=dict.fromkeys(("id", "tag", "queue", "message", "function"), NASTY),
    )
    found = connection.blpop([reply_to], timeout=PATIENCE)
    assert found is not None
    said = bytes(KEYRING.open(Purpose.reply(reply_to), found[1]))
    assert b'"lost"' in said
    assert b"all is lost" not in said
    wait_until(
        lambda: not connection.exists(UNACKED), "the hash of messages that are held is empty"
    )
    wait_until(lambda: connection.zrange(DETACHED_OPEN, 0, -1) in ([], [b""]), "nothing is open")
    assert not connection.exists(detached_key("f" * 32))
    assert_serves(backend, real_worker)
    assert_log_is_clean(real_worker)


@compute_this
def note(path: str) -> None:
    with Path(path).open("a") as file:
        file.write("ran\n")


def test_a_detached_call_that_is_put_back_does_not_run_again(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend, tmp_path: Path
) -> None:
    """Its message with or without its record does not run. Clients that attach get the outcome."""
    connection, path = connect(server.url), tmp_path / "runs"
    # No worker listens there: what lies in Redis until one takes it can be copied.
    future = note.with_options(queue="aside")(str(path)).submit(backend, detach=True)
    record: Any = connection.hgetall(detached_key(future.id))
    assert connection.lrem(record[b"queue"], 1, record[b"message"]) == 1
    before = refused_by_now(connection)
    connection.lpush(QUEUE, record[b"message"])
    future.result(PATIENCE)
    connection.lpush(QUEUE, record[b"message"])
    wait_until(lambda: refused(connection) == before + 1, "the message alone is refused")
    connection.hset(detached_key(future.id), mapping=record)
    connection.lpush(QUEUE, record[b"message"])
    wait_until(lambda: refused(connection) == before + 2, "the message with its record is refused")
    assert attach(future.id, backend).result(PATIENCE) is None
    assert not connection.exists(detached_key(future.id))
    connection.delete(outcome_key(future.id))
    connection.lpush(QUEUE, record[b"message"])
    wait_until(
        lambda: refused(connection) == before + 3, "the message is refused without an outcome, too"
    )
    assert path.read_text() == "ran\n"
    assert "refused a message (its detached call has ended, or was cancelled)" in real_worker.output


def test_changed_functions_are_refused_counted_and_sent_again(
    server: Server,
    real_worker: Program,
    backend: CeleryExecutionBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child finds them, the worker counts them, and the client sends them again."""
    connection = connect(server.url)
    changed: set[str] = set()
    pickles, upload = bombs(tmp_path / "marker"), Publisher._upload
    strange: list[bytes] = [
        pickles[0],
        KEYRING.seal(Purpose.function("another"), [pickles[0]]),
        b"",
        b"of another kind",
    ]

    def upload_and_change(publisher: Publisher, function: FunctionPayload) -> None:
        upload(publisher, function)
        if function.digest not in changed:
            key, value = function_key(function.digest), strange[len(changed)]
            changed.add(function.digest)
            connection.delete(key)
            (connection.rpush if value == b"of another kind" else connection.set)(key, value)

    assert_serves(backend, real_worker)
    before = refused_by_now(connection)
    monkeypatch.setattr(Publisher, "_upload", upload_and_change)
    for number in range(len(strange)):
        call = compute_this(lambda number=number: (number, os.getppid()))
        assert call().compute(backend, timeout=PATIENCE) == (number, real_worker.process.pid)
    wait_until(lambda: refused(connection) == before + len(strange), "all are counted")
    assert not (tmp_path / "marker").exists()


def test_commands_of_celery_s_that_change_something_have_no_effect(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend
) -> None:
    """They carry no secret: the worker stays as it is, and does not answer."""
    connection = connect(server.url)
    before, (worker,) = refused_by_now(connection), presence.workers(connection)
    app = Celery("stranger", broker=server.url, set_as_current=False)
    arguments = {
        "revoke": {"task_id": "x", "terminate": True},
        "add_consumer": {"queue": "x"},
        "cancel_consumer": {"queue": QUEUE},
        "rate_limit": {"task_name": "distribute_challenge.run", "rate_limit": "1/h"},
        "time_limit": {"task_name": "distribute_challenge.run", "hard": 1, "soft": 1},
        "pool_restart": {"modules": ["os"], "reload": True},
        "pool_grow": {"n": 5},
        "pool_shrink": {"n": 1},
        "autoscale": {"max": 10, "min": 5},
        "election": {"id": "1", "topic": "task", "action": {"method": "x"}},
    }
    for command in OTHER_COMMANDS:
        answers = app.control.broadcast(
            command, arguments.get(command, {}), reply=True, timeout=0.05
        )
        assert not answers, command
    forged = [
        {},
        {"command": "x"},
        {"command": sign_command(Keyring.insecure(), SCALE, processes=1)},
        {"command": sign_command(KEYRING, "another command", processes=1)},
        {"processes": 1},
    ]
    for command in forged:
        assert not app.control.broadcast(SCALE, command, reply=True, timeout=0.05)
    wait_until(
        lambda: refused(connection) >= before + len(OTHER_COMMANDS) + len(forged), "all are counted"
    )
    (after,) = presence.workers(connection)
    assert (after.pid, after.concurrency, after.queues) == (
        worker.pid,
        worker.concurrency,
        worker.queues,
    )
    assert_serves(backend, real_worker)
    (answer,) = app.control.broadcast("stats", reply=True, timeout=PATIENCE, limit=1)
    (stats,) = answer.values()
    assert stats["pool"]["max-concurrency"] == 2
    assert "hunter2" not in json.dumps(stats)
    assert scale(server.url, 2) == 2, "a true command is carried out"


def test_an_old_message_that_is_sent_again_is_answered_at_the_signed_address(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend
) -> None:
    """Is answered to the list that is signed, whatever stands around it."""
    connection = connect(server.url)
    sent = batch(reply_to="the-signed-list", issued=time.time() - 2, lifetime=1.0)
    data = json.loads(message_for(sent, queue=QUEUE, priority=0, keyring=KEYRING).data)
    data["properties"]["reply_to"] = "another-list"
    connection.lpush(QUEUE, json.dumps(data))
    found = connection.blpop(["the-signed-list", "another-list"], timeout=PATIENCE)
    assert found is not None
    assert found[0] == b"the-signed-list"
    assert b'"expired"' in bytes(KEYRING.open(Purpose.reply("the-signed-list"), found[1]))
    assert_serves(backend, real_worker)


def test_replies_that_cannot_be_pushed_do_not_end_a_worker(
    server: Server, real_worker: Program, backend: CeleryExecutionBackend
) -> None:
    """Another value stands there. The child and the main process go on all the same."""
    connection = connect(server.url)
    connection.set("no-list", "x")
    for fields in ({}, {"issued": 0.0}):
        sent = batch(reply_to="no-list", **fields)
        connection.lpush(QUEUE, message_for(sent, queue=QUEUE, priority=9, keyring=KEYRING).data)
    assert_serves(backend, real_worker)
    real_worker.wait_for("cannot tell the client what became of f")
    assert_serves(backend, real_worker)


def test_malformed_frames_do_not_end_a_worker_without_a_secret(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Client and worker have no secret, as asked for. The frames are changed, then sealed."""
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_SECRET")
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_INSECURE", "1")
    url = f"{server.url}?virtual_host=1"
    connection, mutator = connect(url), Mutator(24)
    with start_worker(url, tmp_path) as worker, CeleryExecutionBackend(url) as backend:
        worker.wait_for("ready.")
        assert_serves(backend, worker)
        frame = batch(timeout=5.0).encode()
        end = 8 + int.from_bytes(frame[4:8], "big")
        for number in range(1_000):
            changed = mutator.json(json.loads(frame[8:end]))
            if isinstance(changed, dict) and number % 4:
                changed["function"] = f"{number:064x}"  # No such one: it is answered in no time.
            header = json.dumps(changed).encode()
            made = frame[:4] + len(header).to_bytes(4, "big") + header + frame[end:]
            if number % 5 == 0:
                made = mutator.raw([made])
            body = base64.b64encode(Keyring.insecure().seal(Purpose.BATCH, [made])).decode()
            connection.lpush(
                QUEUE,
                json.dumps({"body": body, "headers": {"id": "x"}, "properties": {"reply_to": "x"}}),
            )
        assert_serves(backend, worker)
        assert worker.process.poll() is None
        assert refused_by_now(connection) > 100
