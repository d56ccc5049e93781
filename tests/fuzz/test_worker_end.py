"""Tens of thousands of mutated messages to a worker: the gate admits only signed ones."""

import base64
import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distribute_challenge.core.messages import LIFETIME, Batch, Reply
from distribute_challenge.core.section import Section
from distribute_challenge.errors import BackendError, ForgedError, VersionMismatchError
from distribute_challenge.execution_backends.celery.broker.commands import SCALE, sign_command
from distribute_challenge.execution_backends.celery.worker import task
from distribute_challenge.execution_backends.celery.worker.app import make_app
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.security import Keyring, Purpose
from tests.fuzz.gate import (
    NOW,
    OTHER,
    QUEUE,
    Bench,
    batch,
    celery_messages,
    command_envelope,
    envelope,
    message,
)
from tests.fuzz.mutation import STRANGE, Mutator, bombs
from tests.secret import KEYRING, SECRET

pytestmark = pytest.mark.usefixtures("no_pickle")


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
def test_malformed_frames_with_a_valid_signature_raise_no_error_in_the_gate() -> None:
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


@pytest.mark.parametrize("name", celery_messages())
def test_a_celery_message_that_no_client_sends_is_refused(bench: Bench, name: str) -> None:
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
def test_huge_and_deeply_nested_messages_are_refused_quickly(bench: Bench, data: bytes) -> None:
    """The gate refuses them before it makes anything larger of them."""
    began = time.process_time()
    assert bench.take(data) is None
    assert time.process_time() - began < 1
    assert bench.gate.refusals.total == 1


def test_only_the_signed_body_of_an_envelope_determines_the_call(bench: Bench) -> None:
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


def test_mutated_functions_are_treated_as_missing_and_counted(
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
def test_arbitrary_json_headers_are_refused(header: Any) -> None:
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


def test_the_worker_application_has_a_gate_with_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts only sealed messages, and JSON for remote control."""
    app = make_app("redis://localhost")
    assert app.gate.keyring.identity == KEYRING.identity
    assert set(app.conf.accept_content) == {"distribute_challenge", "json"}
