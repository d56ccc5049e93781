"""A gate, and the messages and commands that a worker gets."""

import base64
import contextlib
import json
import time
from typing import Any

from kombu import Connection
from kombu.transport.virtual import Message

from distribute_challenge.core.messages import Batch, Problem
from distribute_challenge.errors import VersionMismatchError
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.security import Keyring, Purpose
from tests.secret import KEYRING

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
