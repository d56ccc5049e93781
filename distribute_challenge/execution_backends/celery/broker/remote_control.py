"""Send commands to workers through Celery's remote control, without loading Celery.

This writes by hand what ``app.control.broadcast`` makes: kombu's process mailbox inside its Redis
envelope. Loading Celery takes longer than all else that a client does. The tests send commands to
real workers.
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
    """Return the channel that all workers of a broker listen to."""
    # Redis databases share their channels, so the number is part of the channel's name.
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
    """Return the message to publish on the channel.

    Args:
        method: The command.
        arguments: Its arguments.
        names: Names of the workers that have to obey; None: all.
        answer: Where answers go, in kombu's form; None: no answers are wanted.
        expires: The time after which workers ignore it, by the cluster's clock.
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
