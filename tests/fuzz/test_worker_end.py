"""Tens of thousands of mutated messages to a worker: the gate admits only signed ones."""

import base64
import contextlib
import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu import Connection
from kombu.transport.virtual import Message

from distribute_challenge.core.messages import LIFETIME, Batch, Problem, Reply
from distribute_challenge.core.section import Section
from distribute_challenge.errors import BackendError, ForgedError, VersionMismatchError
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.cluster_clock import ClusterClock
from distribute_challenge.execution_backends.celery.broker.commands import (
    SCALE,
    open_command,
    sign_command,
)
from distribute_challenge.execution_backends.celery.broker.keys import CLIENTS, WORKERS
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.worker import task
from distribute_challenge.execution_backends.celery.worker.app import make_app
from distribute_challenge.execution_backends.celery.worker.gate import COMMANDS, Gate
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.serialisation import pickling
from tests.fuzz.mutation import STRANGE, Mutator, bombs
from tests.secret import KEYRING, SECRET

QUEUE = "distribute_challenge"
# The same in each run, so that the same bytes are mutated.
NOW = 1_800_000_000.5
OTHER = Keyring("another-secret-of-the-length-that-is-needed")


def batch(number: int = 0, **fields: Any) -> Batch:
    return Batch(
        **{
            "id": f"client-{number}",
            "function": "d" * 64,
            "name": "square",
            "arguments": [b"\x80\x04K\x01."] * (number % 3 + 1),
            "client": "client",
            "reply_to": f"replies:{number}",
            "issued": NOW,
            "places": ("folder:/dev/shm/x", "redis:client"),
            "timeout": [None, 1.5][number % 2],
            **fields,
        }
    )


def envelope(data: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(data)
    return parsed


def message(keyring: Keyring, sent: Batch) -> bytes:
    return message_for(sent, queue=QUEUE, priority=0, keyring=keyring).data


class Bench:
    """A gate that notes each answer, with kombu and Celery as far as they look into messages."""

    def __init__(self, keyring: Keyring) -> None:
        self.answers: list[tuple[Batch, Problem]] = []
        self.gate = Gate(keyring, lambda *answer: self.answers.append(answer), lambda: NOW)
        self.channel = Connection("memory://").channel()

    def take(self, data: bytes) -> dict[str, Any] | None:
        """Return what the gate admits, after kombu made a message of it and the child opened it."""
        admitted = self.gate.admitted(data, QUEUE)
        if admitted is not None:
            json.dumps(admitted)
            made = Message(admitted, self.channel)
            task_id, limits = made.headers["id"], made.headers["timelimit"]
            assert isinstance(task_id, str)
            assert limits[0] is None or limits[0] <= 1e9
            with contextlib.suppress(VersionMismatchError):
                Batch.decode(self.gate.keyring.open(Purpose.BATCH, made.body))
        return admitted


@pytest.fixture(autouse=True)
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if something is unpickled."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("pickle.loads", "pickle.load", "pickle.Unpickler"):
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr(pickling.pickle, "loads", refuse)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with its own keyring, which counts from nought."""
    return Bench(Keyring(SECRET))


@pytest.mark.slow
def test_mutated_messages_are_refused_and_counted_and_valid_ones_between_them_served(
    bench: Bench, tmp_path: Path
) -> None:
    """The gate ignores changes outside the seal, and refuses changes inside it."""
    mutator = Mutator(1)
    sent = {number: message(bench.gate.keyring, batch(number)) for number in range(20)}
    bodies = [envelope(data)["body"] for data in sent.values()]
    others = [message(keyring, batch()) for keyring in (OTHER, Keyring.insecure())]
    pickles = bombs(tmp_path / "marker")
    seals = [base64.b64decode(body) for body in bodies]
    served = 0
    for number in range(20_000):
        kind = number % 4
        if kind == 0:
            data = mutator.raw([*sent.values(), *others, *pickles])
        elif kind == 1:
            data = mutator.text(envelope(mutator.random.choice(list(sent.values()))))
        else:
            changed = envelope(mutator.random.choice(list(sent.values())))
            made = mutator.raw(seals if kind == 2 else [*seals, *pickles])
            changed["body"] = base64.b64encode(made).decode()
            data = json.dumps(changed).encode()
        before = bench.gate.refusals.total
        admitted = bench.take(data)
        assert (admitted is None) == (bench.gate.refusals.total == before + 1)
        if admitted is not None:
            assert admitted["body"] in bodies
        if number % 100 == 0:
            assert (bench.take(sent[number % 20]) or {})["headers"]["id"] == f"client-{number % 20}"
            served += 1
    assert served == 200
    assert bench.answers == []
    assert not (tmp_path / "marker").exists()


@pytest.mark.slow
def test_signed_nonsense_ends_nothing() -> None:
    """Any program can sign without a secret. Bytes and fields are changed, then sealed."""
    keyring = Keyring.insecure()
    bench, mutator = Bench(keyring), Mutator(2)
    frames = [batch(number).encode() for number in range(20)]
    replies = [Reply("b", "w", 1.0, sections=[Section("value", 1, b"x")]).encode()]
    admitted = 0
    for number in range(5_000):
        made = (
            mutator.raw([*frames, *replies])
            if number % 3 == 0
            else _mutated_header(mutator, frames)
        )
        data = _sealed_message(keyring, made)
        before = bench.gate.refusals.total
        taken = bench.take(data)
        admitted += taken is not None
        assert taken is not None or bench.gate.refusals.total == before + 1
    # Answers are for what claims to be old; and many a mutation makes another message that is as
    # good.
    assert admitted > 250
    assert all(answer[1].kind == "expired" for answer in bench.answers)


def _mutated_header(mutator: Mutator, frames: list[bytes]) -> bytes:
    frame = mutator.random.choice(frames)
    end = 8 + int.from_bytes(frame[4:8], "big")
    header = json.dumps(mutator.json(json.loads(frame[8:end]))).encode()
    return frame[:4] + len(header).to_bytes(4, "big") + header + frame[end:]


def _sealed_message(keyring: Keyring, frame: bytes) -> bytes:
    body = base64.b64encode(keyring.seal(Purpose.BATCH, [frame])).decode()
    return json.dumps({**envelope(message(keyring, batch())), "body": body}).encode()


def celery_messages() -> dict[str, Any]:
    """Messages that Celery would run or that cost it much, and that no client sends."""
    valid = envelope(message(KEYRING, batch()))
    properties = {**valid["properties"], "body_encoding": "base64"}

    def made(task_name: str, body: Any = ((), {}, {}), **changes: Any) -> dict[str, Any]:
        text = base64.b64encode(json.dumps(body).encode()).decode()
        headers = {**valid["headers"], "task": task_name, **changes.pop("headers", {})}
        message = {"body": text, "content-encoding": "utf-8", "content-type": "application/json"}
        return {**message, "headers": headers, "properties": properties, **changes}

    builtin = [
        f"celery.{name}"
        for name in (
            "map",
            "starmap",
            "chunks",
            "chord_unlock",
            "chord",
            "group",
            "chain",
            "backend_cleanup",
            "accumulate",
        )
    ]
    return {
        **{name: made(name) for name in builtin},
        "our own, unsigned": made("distribute_challenge.run"),
        "protocol 1": {
            **made("x", {"task": "celery.map", "id": "1", "args": [], "kwargs": {}}),
            "headers": {},
        },
        "a zip bomb": made(
            "distribute_challenge.run", headers={"compression": "application/x-gzip"}
        ),
        "later": made("distribute_challenge.run", headers={"eta": "9999-12-31T00:00:00+00:00"}),
        "over": made("distribute_challenge.run", headers={"expires": "1970-01-01T00:00:00+00:00"}),
        "pickle": {
            **made("celery.map"),
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
        },
        "yaml": {**made("celery.map"), "content-type": "application/x-yaml"},
        "an unknown type": {**made("celery.map"), "content-type": "application/x-unknown"},
        "another encoding": {**made("celery.map"), "content-encoding": "rot13"},
        "our type": {**made("celery.map"), "content-type": "application/x-distribute-challenge"},
    }


@pytest.mark.parametrize("name", celery_messages())
def test_what_celery_would_run_is_refused(bench: Bench, name: str) -> None:
    assert bench.take(json.dumps(celery_messages()[name]).encode()) is None
    assert bench.gate.refusals.total == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[" * 1_000_000,
        b'{"body": "' + b"A" * 50_000_000,
        b'{"body": "' + b"\xff" * 1_000_000 + b'"}',
        b'{"body": "x"' + b"[[]," * 10_000_000,
        b'{"body":' * 200_000,
        b"\x00" * 10_000_000,
    ],
    ids=lambda data: f"{data[:12]!r}… {len(data)}",
)
def test_the_large_and_the_deep_are_refused_in_no_time(bench: Bench, data: bytes) -> None:
    """The gate refuses them before it makes anything larger of them."""
    began = time.process_time()
    assert bench.take(data) is None
    assert time.process_time() - began < 1
    assert bench.gate.refusals.total == 1


def test_of_the_envelope_only_the_body_counts(bench: Bench) -> None:
    """The signed body runs as its sender meant it, whatever an attacker writes around it."""
    sent = batch(reply_to="the signed list", timeout=3.0)
    data = message(bench.gate.keyring, sent)
    plain = bench.take(data)
    assert plain is not None
    changed = envelope(data)
    changed["content-type"] = "application/x-python-serialize"
    changed["headers"] = {
        **changed["headers"],
        "task": "celery.map",
        "id": "another",
        "timelimit": [1e400, 0],
        "eta": "x",
    }
    changed["properties"] = {"reply_to": "the attacker's", "delivery_tag": "x" * 64, "priority": -5}
    taken = bench.take(json.dumps(changed).encode())
    assert taken is not None
    assert taken["headers"] == plain["headers"]
    assert taken["properties"].pop("delivery_tag") != plain["properties"].pop("delivery_tag")
    changed["properties"]["delivery_tag"] += "x"
    assert bench.take(json.dumps(changed).encode()) is None, "no tag is that long"
    assert taken["properties"] == plain["properties"]
    assert bench.gate.batch_of(taken).reply_to == "the signed list"


@pytest.mark.parametrize("age", [-4000.0, -61.0, 61.0, 4000.0])
def test_a_message_outside_its_lifetime_is_answered_and_does_not_run(
    bench: Bench, age: float
) -> None:
    """The clock of its sender may be ahead, too."""
    sent = batch(issued=NOW - age, lifetime=60.0)
    assert bench.take(message(bench.gate.keyring, sent)) is None
    ((answered, problem),) = bench.answers
    assert (answered.id, answered.reply_to, problem.kind) == (sent.id, sent.reply_to, "expired")
    assert bench.gate.refusals.total == 1


@pytest.mark.parametrize("wrong", [-7200.0, 7200.0])
def test_ages_are_measured_by_the_clusters_clock(wrong: float) -> None:
    """A worker with a wrong clock takes new messages, and refuses old messages and commands."""
    keyring = Keyring(SECRET)
    answers: list[Any] = []
    gate = Gate(keyring, lambda *answer: answers.append(answer), lambda: time.time() + wrong)
    here = time.time()
    now = here + wrong
    assert gate.admitted(message(keyring, batch(issued=now)), QUEUE) is not None
    assert gate.admitted(message(keyring, batch(issued=now - LIFETIME - 60)), QUEUE) is None
    assert gate.admitted(message(keyring, batch(issued=time.time())), QUEUE) is None
    assert len(answers) == 2
    assert (
        gate.command(
            command_envelope(SCALE, {"command": sign_command(keyring, SCALE, now, processes=2)})
        )
        is not None
    )
    assert (
        gate.command(
            command_envelope(SCALE, {"command": sign_command(keyring, SCALE, processes=2)})
        )
        is None
    )
    question = command_envelope("ping")
    question["headers"]["expires"] = now + 1
    passed = gate.command(question)
    assert passed is not None
    assert abs(passed["headers"]["expires"] - here - 1) < 1


def test_a_message_of_another_version_is_handed_on_to_be_answered(bench: Bench) -> None:
    """The gate keeps as much of the envelope as an answer needs, and only harmless parts."""
    data = envelope(_sealed_message(bench.gate.keyring, b"DCF2 unknown"))
    taken = bench.take(json.dumps(data).encode())
    assert taken is not None
    assert (taken["headers"]["id"], taken["properties"]["reply_to"]) == ("client-0", "replies:0")
    for key, value in (
        ("reply_to", "x" * 300),
        ("reply_to", ["x"]),
        ("reply_to", "\ud800"),
        ("reply_to", "x\ny"),
    ):
        data["properties"][key] = value
        taken = bench.take(json.dumps(data).encode())
        assert taken is not None
        assert taken["properties"]["reply_to"] == ""
    data["headers"] = "none"
    assert bench.take(json.dumps(data).encode()) is None
    data["headers"] = {"id": "x", "long": "x" * 100_000}
    assert bench.take(json.dumps(data).encode()) is None
    assert bench.gate.refusals.total == 2


def command_envelope(method: str, arguments: Any = None, **changes: Any) -> dict[str, Any]:
    body = {
        "method": method,
        "arguments": arguments or {},
        "destination": None,
        "pattern": None,
        "matcher": None,
    }
    body |= {"ticket": "t", "reply_to": {"exchange": "e", "routing_key": "r"}, **changes}
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"clock": 1, "expires": time.time() + 10},
        "properties": {"delivery_tag": "tag", "body_encoding": "base64"},
    }


@pytest.mark.slow
def test_mutated_orders_are_refused_or_harmless(bench: Bench) -> None:
    """The gate lets in commands that only tell something, or that have the right seal."""
    mutator = Mutator(3)
    command = sign_command(bench.gate.keyring, SCALE, processes=2)
    valid = [
        command_envelope("ping"),
        command_envelope(SCALE, {"command": command}),
        command_envelope("pool_restart"),
    ]
    let_in = 0
    for number in range(7_500):
        changed = mutator.json(mutator.random.choice(valid))
        if number % 2 and isinstance(changed, dict):
            body = mutator.text(json.loads(base64.b64decode(mutator.random.choice(valid)["body"])))
            changed["body"] = base64.b64encode(body).decode()
        before = bench.gate.refusals.total
        taken = bench.gate.command(changed)
        assert (taken is None) == (bench.gate.refusals.total == before + 1)
        if taken is not None:
            let_in += 1
            said = json.loads(taken["body"])
            assert said["method"] in COMMANDS
            assert said["method"] != SCALE or said["arguments"]["command"] == command
            Message(taken, bench.channel)
    assert let_in > 500


OTHER_COMMANDS = [
    *(
        "pool_restart",
        "shutdown",
        "add_consumer",
        "cancel_consumer",
        "rate_limit",
        "revoke",
        "terminate",
        "time_limit",
    ),
    *(
        "revoke_by_stamped_headers",
        "conf",
        "election",
        "pool_grow",
        "pool_shrink",
        "autoscale",
        "memsample",
        "memdump",
    ),
    *("objgraph", "report", "hello"),
]


@pytest.mark.parametrize("method", OTHER_COMMANDS)
def test_commands_that_change_something_or_tell_too_much_are_refused(
    bench: Bench, method: str
) -> None:
    assert bench.gate.command(command_envelope(method)) is None
    assert bench.gate.refusals.total == 1


@pytest.mark.slow
def test_orders_without_their_seal_are_refused() -> None:
    """The seal is missing, nonsense, old, or of another secret or command."""
    mutator = Mutator(4)
    good = sign_command(KEYRING, SCALE, processes=2)
    assert open_command(KEYRING, SCALE, good) == {"processes": 2}

    def sealed(content: Any) -> str:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        return base64.b64encode(KEYRING.seal(Purpose.COMMAND, [text])).decode()

    plain = {"command": SCALE, "issued": time.time(), "content": {"processes": 2}}
    refused: list[Any] = [
        None,
        1,
        "",
        "é",
        [good],
        good[:-4],
        sign_command(OTHER, SCALE, processes=2),
        sign_command(KEYRING, "x"),
    ]
    refused += [
        sealed({**plain, "issued": issued})
        for issued in (0, time.time() + 3700, float("nan"), None, 10**400)
    ]
    refused += [
        sealed(b"\xff"),
        sealed(b"[" * 100_000),
        sealed([]),
        sealed({}),
        sealed({**plain, "content": []}),
    ]
    for command in refused:
        with pytest.raises(ForgedError):
            open_command(KEYRING, SCALE, command, time.time())
    for _ in range(2_500):
        made = mutator.raw([base64.b64decode(good)])
        for command in (base64.b64encode(made).decode(), sealed(mutator.text(plain))):
            with contextlib.suppress(ForgedError):
                assert isinstance(open_command(KEYRING, SCALE, command), dict)


class _Hash:
    """The part of Redis that `presence` reads."""

    keyring = KEYRING

    def __init__(self) -> None:
        self.lines: dict[bytes, bytes] = {}
        self.removed: list[bytes] = []
        self.clock = ClusterClock()

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        return self.lines

    def hset(self, key: str, name: str, line: bytes) -> None:
        self.lines[name.encode()] = line

    def hdel(self, key: str, *names: bytes) -> None:
        self.removed.extend(names)

    def time(self) -> tuple[int, int]:
        return int(time.time()), 0


@pytest.mark.slow
def test_mutated_lines_of_presence_are_strangers_or_gone() -> None:
    """What is signed and says nonsense, too; those between them are there."""
    connection, mutator = _Hash(), Mutator(5)
    here: Any = connection
    presence.show(here, presence.WorkerPresence("worker", 2, ["a"], opens=KEYRING.opens))
    presence.show(here, presence.WorkerPresence("\u00e9", 1, ["b"]))
    lines = list(connection.lines.values())
    opened = json.loads(
        KEYRING.open(Purpose.presence(WORKERS, "worker"), lines[0].partition(b" ")[2])
    )
    strange = 0
    for number in range(150):
        # Anew: a busy machine takes longer for all than a line counts.
        presence.show(here, presence.WorkerPresence("worker", 2, ["a"], opens=KEYRING.opens))
        lines[0] = connection.lines[b"worker"]
        added = {}
        for name in (f"n{index}" for index in range(50)):
            if number % 2:
                text = mutator.text(opened)
                seal = KEYRING.seal(Purpose.presence(WORKERS, name), [text])
                added[name.encode()] = b"%.3f %b" % (time.time(), seal)
            else:
                added[mutator.random.choice([name.encode(), mutator.random.randbytes(5)])] = (
                    mutator.raw(lines)
                )
        connection.lines = {**added, b"worker": lines[0]}
        workers = presence.workers(here)
        assert any(worker.name == "worker" and worker.concurrency == 2 for worker in workers)
        assert presence.slots(workers, "a") >= 2
        strange += presence.strangers(here)
        assert b"worker" not in connection.removed
    assert strange > 2500
    connection.lines = {
        b"x": b"%.3f " % time.time() + KEYRING.seal(Purpose.presence(CLIENTS, "x"), [b"{}"])
    }
    assert presence.clients(here) == []


def test_mutated_functions_are_not_there_and_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So are functions of another digest. The client then sends them again."""
    mutator, keyring = Mutator(6), Keyring(SECRET)
    child = task._Child("redis://localhost", keyring.refusals)
    purpose = Purpose.function("digest")
    valid = keyring.seal(purpose, [b"payload"])
    wrong = [
        keyring.seal(Purpose.function("other"), [b"payload"]),
        OTHER.seal(purpose, [b"x"]),
        *bombs(tmp_path / "marker"),
    ]
    stored = itertools.chain(
        [valid], wrong, (mutator.raw([valid, *wrong]) for _ in range(5_000)), [valid, None]
    )
    answers = iter(list(stored))
    connection = SimpleNamespace(
        get=lambda key: next(answers), hget=lambda *_: None, keyring=keyring
    )
    monkeypatch.setattr(child, "connection", connection)
    assert child._fetch("digest") == b"payload"
    for _ in range(len(wrong)):
        assert child._fetch("digest") is None
    assert [
        found for _ in range(5_000) if (found := child._fetch("digest")) not in (None, b"payload")
    ] == []
    assert child._fetch("digest") == b"payload"
    assert child._fetch("digest") is None
    assert keyring.refusals.total > 4_500


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(STRANGE),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)
quickly = settings(
    max_examples=75,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@quickly
@given(
    header=json_values | st.fixed_dictionaries(dict.fromkeys(("id", "name", "sizes"), json_values))
)
def test_no_header_that_json_can_hold_does_harm(header: Any) -> None:
    """Found by searching."""
    text = json.dumps(header).encode()
    frame = b"DCF1" + len(text).to_bytes(4, "big") + text
    for kind in (Batch, Reply):
        with pytest.raises((ForgedError, VersionMismatchError)):
            kind.decode(frame)
    gate = Gate(KEYRING, lambda *_: None)
    assert gate.command(header) is None
    with pytest.raises((ForgedError, BackendError)):
        gate.batch_of(header)


def test_the_application_has_such_a_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts only sealed messages, and JSON for remote control."""
    app = make_app("redis://localhost")
    assert app.gate.keyring.identity == KEYRING.identity
    assert set(app.conf.accept_content) == {"distribute_challenge", "json"}
