"""Our messages are Celery's, field for field."""

import json
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from kombu.transport.redis import Transport

from distribute_challenge.core.following import Following
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.publishing import (
    TASK_NAME,
    message_for,
    queue_keys,
)
from distribute_challenge.execution_backends.celery.worker.app import make_app
from distribute_challenge.security import Purpose
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING


def batch(**changes: Any) -> Batch:
    values: dict[str, Any] = {
        "id": "b-1",
        "function": "d" * 64,
        "name": "square",
        "arguments": [b"a", b"b"],
        **changes,
    }
    return Batch(**values)


def envelope(**changes: Any) -> dict[str, Any]:
    message = message_for(batch(**changes), queue="q", priority=0, keyring=KEYRING)
    loaded: dict[str, Any] = json.loads(message.data)
    return loaded


@pytest.fixture
def app(server: Server) -> Celery:
    return make_app(server.url)


def test_the_envelope_has_every_field_that_celery_writes(server: Server, app: Celery) -> None:
    """No field is missing or has another type, wherever Celery itself has a value."""
    task = app.tasks[TASK_NAME]
    task.apply_async(
        (b"frame",), queue="q", task_id="b-1", serializer="distribute_challenge", shadow="square ×2"
    )
    theirs = json.loads(connect(server.url).rpop(queue_keys("q")[0]))
    ours = envelope()
    assert ours.keys() == theirs.keys()
    assert ours["headers"].keys() <= theirs["headers"].keys()
    assert theirs["headers"].keys() - ours["headers"].keys() <= {"parent_id"}
    assert ours["properties"].keys() == theirs["properties"].keys()
    for key in ("content-encoding", "content-type"):
        assert ours[key] == theirs[key]
    for key in (
        "lang",
        "task",
        "id",
        "shadow",
        "root_id",
        "retries",
        "ignore_result",
        "timelimit",
        "eta",
        "stamps",
    ):
        assert ours["headers"][key] == theirs["headers"][key], key
    for key in ("delivery_mode", "body_encoding", "correlation_id", "delivery_info"):
        assert ours["properties"][key] == theirs["properties"][key], key


def test_kombu_reads_a_published_message_unchanged(server: Server) -> None:
    """kombu takes it from a worker's list, and leaves the frame unharmed."""
    sent = batch()
    message = message_for(sent, queue="q", priority=3, keyring=KEYRING)
    connect(server.url).lpush(message.key, message.data)
    with Connection(server.url) as connection:
        connection.transport_cls = (
            Transport  # Kombu's own: the worker's stands under the same name once it is loaded.
        )
        received = connection.default_channel.basic_get("q")
        (frame,), kwargs, _ = received.decode()
        received.ack()
    assert Batch.decode(KEYRING.open(Purpose.BATCH, frame)) == sent
    assert kwargs == {}


def test_a_higher_priority_uses_a_list_that_is_read_earlier() -> None:
    """Ours counts upwards, Redis' downwards."""
    keys = [
        message_for(batch(), queue="q", priority=priority, keyring=KEYRING).key
        for priority in (9, 5, 0)
    ]
    assert keys == [queue_keys("q")[0], queue_keys("q")[4], queue_keys("q")[9]]
    assert keys[0] == "q"


def test_the_name_of_a_message_has_the_number_of_its_calls() -> None:
    """Logs and Flower show it."""
    assert envelope()["headers"]["shadow"] == "square ×2"
    assert envelope(arguments=[b"a"])["headers"]["shadow"] == "square"
    assert envelope(arguments=[b"a"], chunk=500)["headers"]["shadow"] == "square ×500"
    following = [Following(name, name, False, 2) for name in ("add", "square", "f", "g")]
    name = envelope(arguments=[b"a"] * 9, following=following)["headers"]["shadow"]
    assert name == "square ×3, add ×2, f ×2, ..."


def test_the_hard_time_limit_of_a_message_is_somewhat_longer_than_the_timeout() -> None:
    """It covers one call with its retries: a worker begins no further call of a late batch."""
    assert envelope()["headers"]["timelimit"] == [None, None]
    hard, soft = envelope(timeout=10.0)["headers"]["timelimit"]
    assert 10 < hard < 15
    assert soft is None
    assert envelope(timeout=10.0, retries=2)["headers"]["timelimit"][0] > 30
