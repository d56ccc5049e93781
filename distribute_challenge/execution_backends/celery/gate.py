"""What a worker lets in: messages and orders by the rules of Celery and kombu, and sealed by a holder of the secret.

    queue ──► admitted ──► kombu's message, its headers made anew from what was signed ──► Celery
    remote control ──► order ──► its envelope, made anew of the parts that matter ──► Celery

Redis may be open to others who write whatever they like. kombu and Celery read headers, properties and bodies long before our own code
sees any of it, and many a strange value ends their main process. So nothing that was not signed gets there, and of the
envelope around it only what is known to be harmless.
"""

import json
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.execution_backends.celery.publishing import CONTENT_TYPE, headers_of
from distribute_challenge.execution_backends.celery.refusals import Refusals
from distribute_challenge.messages import Batch, Problem
from distribute_challenge.options import HIGHEST_PRIORITY
from distribute_challenge.security import Keyring, Purpose

__all__ = ["ORDERS", "Gate"]

#: Celery's own commands that only tell something, and ours, whose argument is sealed. All others change what a worker does, some of
#: them which code it runs, and Celery has no way to tell who asks.
ORDERS = frozenset(
    {
        *("active", "active_queues", "clock", "disable_events", "dump_active", "dump_reserved", "dump_revoked"),
        *("dump_schedule", "dump_tasks", "enable_events", "heartbeat", "ping", "query_task", "registered", "reserved"),
        *("revoked", "scheduled", "stats"),
        *("distribute_challenge_cancel", "distribute_challenge_scale"),
    }
)

LONGEST_NAME = 256  # Characters of a name or a tag that is not signed.


class Gate:
    """Decides for one worker.

    Args:
        keyring: Opens what is sealed.
        answer: Told of a batch that is too old to run, to tell its client.

    Attributes:
        keyring: As given.
        refusals: What was not let in.
    """

    def __init__(self, keyring: Keyring, answer: Callable[[Batch, Problem], None]) -> None:
        self.refusals = Refusals()
        self.keyring = keyring
        self._answer = answer

    def batch_of(self, envelope: object) -> Batch:
        """The batch in a message as it lies in Redis.

        Args:
            envelope: The message, parsed.

        Raises:
            ForgedError: Nobody who has the secret has sent it.
            VersionMismatchError: It is of another wire format.
        """
        body = envelope.get("body") if isinstance(envelope, dict) else None
        if not isinstance(body, str):
            raise ForgedError("it has no body")
        try:
            sealed = b64decode(body, validate=True)
        except ValueError:
            raise ForgedError("its body is not in base64") from None
        return Batch.decode(self.keyring.open(Purpose.BATCH, sealed))

    def admitted(self, message: bytes) -> dict[str, Any] | None:
        """A message from a queue, fit for kombu and Celery; None if it was refused or answered here."""
        try:
            envelope = json.loads(message)
            headers = self._headers(envelope)
        except (TypeError, ValueError, RecursionError) as error:
            self.refusals.note("a message", f"its form is wrong: {type(error).__name__}", message)
            return None
        except ForgedError as error:
            self.refusals.note("a message", str(error), message)
            return None
        if headers is None:
            return None
        properties = envelope.get("properties")
        known = properties if isinstance(properties, dict) else {}
        info = known.get("delivery_info")
        routing_key = _name(info.get("routing_key") if isinstance(info, dict) else None)
        priority = known.get("priority")
        tag = _name(known.get("delivery_tag"))
        if not tag:
            self.refusals.note("a message", "it has no delivery tag", message)
            return None
        return {
            "body": envelope["body"],
            "content-encoding": "binary",
            "content-type": CONTENT_TYPE,
            "headers": headers,
            "properties": {
                "correlation_id": headers["id"],
                "reply_to": _name(known.get("reply_to")),
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": routing_key},
                "priority": priority if type(priority) is int and 0 <= priority <= HIGHEST_PRIORITY else 0,
                "body_encoding": "base64",
                "delivery_tag": tag,
            },
        }

    def _headers(self, envelope: object) -> dict[str, Any] | None:
        try:
            batch = self.batch_of(envelope)
        except VersionMismatchError:
            # By a holder of the secret whose frames are of another version: the child answers it, as it does all other versions.
            assert isinstance(envelope, dict)
            headers = envelope.get("headers")
            name = _name(headers.get("id") if isinstance(headers, dict) else None)
            return headers_of(Batch(name, "", "a call of another version", [b""]))
        now = time.time()
        if abs(now - batch.issued) > batch.lifetime:
            self._answer(batch, Problem("expired", "the message is older than it may be", {"now": now}))
            return None
        return headers_of(batch)

    def order(self, envelope: object) -> dict[str, Any] | None:
        """An envelope of remote control, fit for kombu; None if it was refused."""
        try:
            return self._order(envelope)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            self.refusals.note("an order", f"its form is wrong: {type(error).__name__}", envelope)
        except ForgedError as error:
            self.refusals.note("an order", str(error), envelope)
        return None

    @staticmethod
    def _order(envelope: Any) -> dict[str, Any]:
        body = json.loads(b64decode(envelope["body"], validate=True))
        method, arguments, reply_to = body["method"], body.get("arguments") or {}, body.get("reply_to")
        if method not in ORDERS:
            raise ForgedError("a command that workers of this library do not take")
        names, pattern, matcher = body.get("destination"), body.get("pattern"), body.get("matcher")
        if names is not None and not all(isinstance(name, str) for name in names):
            raise ValueError("destination")
        if not isinstance(arguments, dict) or matcher not in (None, "glob"):
            raise ValueError("arguments")
        clean = {
            "method": method,
            "arguments": {_name(key): value for key, value in arguments.items()},
            "destination": names,
            "pattern": None if pattern is None else _name(pattern),
            "matcher": matcher,
            "ticket": _name(body.get("ticket")),
            "reply_to": reply_to
            and {"exchange": _name(reply_to["exchange"]), "routing_key": _name(reply_to["routing_key"])},
        }
        expires = envelope["headers"].get("expires")
        return {
            "body": json.dumps(clean),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 0, "expires": float(expires) if expires is not None else None},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
                "priority": 0,
                "delivery_tag": _name(envelope["properties"]["delivery_tag"]),
            },
        }


def _name(value: object) -> str:
    """A text, if it is one and no longer than names are; else nothing."""
    return value if isinstance(value, str) and len(value) <= LONGEST_NAME else ""
