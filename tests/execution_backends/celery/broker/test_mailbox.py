"""Answers of remote control, of which each may be forged, over a real Redis."""

import json
from base64 import b64encode
from typing import Any

import pytest

from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.control import Running, active, scale
from distribute_challenge.execution_backends.celery.broker.mailbox import LONGEST_NAME
from distribute_challenge.execution_backends.celery.broker.ping import ping
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.fuzz.forger import answer, forging

GOOD = {"worker@here": {"ok": "pong"}}


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"\xff",
        b"[]",
        b"1",
        b"[" * 100_000,
        b"{}",
        json.dumps({"body": None}).encode(),
        json.dumps({"body": "é"}).encode(),
        json.dumps({"body": b64encode(b"[" * 100_000).decode()}).encode(),
        json.dumps({"body": b64encode(b"\xff").decode()}).encode(),
    ],
    ids=lambda forged: f"{forged[:20]!r}",
)
def test_a_malformed_answer_is_left_out_and_counted(
    server: Server, connection: Broker, forged: bytes
) -> None:
    """`ping` takes the next answer."""
    with forging(server.url, lambda: [answer(GOOD), forged]):
        answers = ping(connection, timeout=DEADLINE)
    assert list(answers) == ["worker@here"]
    assert answers.left_out == {"not in the form that Celery gives to answers": 1}


@pytest.mark.parametrize(
    "said",
    [
        [],
        "worker@here",
        {},
        {"a": {"ok": "pong"}, "b": {"ok": "pong"}},
        {"": 1},
        {"x" * (LONGEST_NAME + 1): 1},
        {"\ud800": 1},
    ],
    ids=lambda said: f"{said!r:.20}",
)
def test_an_answer_without_exactly_one_worker_name_is_left_out_and_counted(
    server: Server, connection: Broker, said: Any
) -> None:
    with forging(server.url, lambda: [answer(GOOD), answer(said)]):
        answers = ping(connection, timeout=DEADLINE)
    assert list(answers) == ["worker@here"]
    assert answers.left_out == {"without the name of one worker": 1}


def test_an_answer_of_a_worker_that_was_not_asked_is_left_out_and_counted(
    server: Server, connection: Broker
) -> None:
    """Else it would be in the way of theirs."""
    with forging(server.url, lambda: [answer(GOOD), answer({"other@there": {"ok": "pong"}})]):
        answers = ping(connection, ["worker@here"], timeout=DEADLINE)
    assert list(answers) == ["worker@here"]
    assert answers.left_out == {"from a worker that was not asked": 1}


@pytest.mark.parametrize(
    "said", [None, "pong", {"ok": "ping"}, {"error": "x"}, {"ok": "pong", "x": 1}]
)
def test_a_ping_is_answered_with_a_pong(server: Server, connection: Broker, said: Any) -> None:
    with forging(server.url, lambda: [answer(GOOD), answer({"worker@here": said})]):
        answers = ping(connection, timeout=DEADLINE)
    assert list(answers) == ["worker@here"]
    assert answers.left_out == {"without a pong": 1}


TASK = {"name": "square", "worker_pid": 7, "id": "x"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"ok": []}, "without a list of what runs"),
        ([TASK, None], "with something in the list that no worker runs"),
        ([{**TASK, "name": "\ud800"}], "with something in the list that no worker runs"),
        ([{**TASK, "worker_pid": "7"}], "with something in the list that no worker runs"),
    ],
)
def test_an_answer_without_a_valid_list_of_tasks_is_left_out_and_counted(
    server: Server, said: Any, reason: str
) -> None:
    with forging(
        server.url, lambda: [answer({"worker@here": [TASK]}), answer({"other@there": said})]
    ):
        answers = active(server.url)
    assert answers == {"worker@here": [Running("square", 7)]}
    assert answers.left_out == {reason: 1}


@pytest.mark.parametrize("said", [None, {"ok": "2"}, {"ok": -1}, {"ok": True}, {"error": "x"}])
def test_scale_skips_answers_without_a_number_of_processes(server: Server, said: Any) -> None:
    with forging(
        server.url, lambda: [answer({"worker@here": {"ok": 2}}), answer({"worker@here": said})]
    ):
        assert scale(server.url, 2) == 2
