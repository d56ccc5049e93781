"""Telling workers something through Celery's remote control, without loading Celery.

This writes by hand what ``app.control.broadcast`` makes: kombu's process mailbox inside its Redis
envelope. Loading Celery takes longer than all else that a client does. Tests ask real workers.
"""

import json
import uuid
from base64 import b64encode
from collections.abc import Collection, Mapping
from typing import Any, Final

import redis

__all__ = ["MAILBOX", "channel", "control_message"]

MAILBOX: Final = "celery.pidbox"


def channel(connection: redis.Redis) -> str:
    """The channel that all workers of a broker listen to."""
    # Redis keeps databases apart, but not their channels.
    database = connection.connection_pool.connection_kwargs.get("db") or 0
    return f"/{database}.{MAILBOX}"


def control_message(
    method: str,
    arguments: Mapping[str, Any],
    *,
    names: Collection[str] | None = None,
    answer: Mapping[str, Any] | None = None,
    expires: float | None = None,
) -> bytes:
    """What to publish there.

    Args:
        method: The command.
        arguments: Its arguments.
        names: Workers that are meant; None: all.
        answer: Where answers go, as kombu knows it; None: nobody waits for any.
        expires: When it is too late for workers to listen to it, by the cluster's clock.
    """
    body = {
        "method": method,
        "arguments": dict(arguments),
        "destination": None if names is None else list(names),
        "pattern": None,
        "matcher": None,
        **(answer or {}),
    }
    envelope: dict[str, Any] = {
        "body": b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"clock": 1, "expires": expires or 0},
        "properties": {
            "delivery_mode": 1,
            "delivery_info": {"exchange": MAILBOX, "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return json.dumps(envelope).encode()
