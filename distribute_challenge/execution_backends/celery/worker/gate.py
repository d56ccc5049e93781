"""What a worker lets in: messages and orders by the rules of Celery and kombu, and sealed by a
holder of the secret.

    queue ──► admitted ──► kombu's message, made anew from what was signed ──► Celery
    remote control ──► order ──► its envelope, made anew of the parts that matter ──► Celery

Redis may be open to others who write whatever they like. kombu and Celery read headers, properties
and bodies long before our own code sees any of it, and many a strange value ends their main
process. So nothing that was not signed gets there; of an order's envelope, only what is known to be
harmless.
"""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Any, Final

from distribute_challenge.core import clock
from distribute_challenge.core.framing import Blob
from distribute_challenge.core.messages import Batch, Problem
from distribute_challenge.core.schema import text
from distribute_challenge.errors import ForgedError, VersionMismatchError
from distribute_challenge.execution_backends.celery.broker.orders import CANCEL, SCALE, opened_order
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.broker.publishing import (
    PRIORITY_SEPARATOR,
    envelope_of,
)
from distribute_challenge.execution_backends.celery.worker.other_versions import (
    OtherVersions,
    PutBackError,
)
from distribute_challenge.security import Keyring, Purpose

__all__ = ["ORDERS", "Gate"]

#: Our own commands, whose one argument is a sealed order.
SEALED_ORDERS: Final = frozenset({CANCEL, SCALE})

#: Beside them, those of Celery's that only tell something. All others change what a worker does,
#: some of them which code it runs, and Celery has no way to tell who asks.
ORDERS: Final = SEALED_ORDERS | {
    *(
        "active",
        "active_queues",
        "clock",
        "disable_events",
        "dump_active",
        "dump_reserved",
        "dump_revoked",
    ),
    *(
        "dump_schedule",
        "dump_tasks",
        "enable_events",
        "heartbeat",
        "ping",
        "query_task",
        "registered",
        "reserved",
    ),
    *("revoked", "scheduled", "stats"),
}

LONGEST_NAME: Final = 256  # Characters of a name or a tag that is not signed.
MOST_AROUND: Final = 64_000  # Bytes of a message beside its body; ours have one or two thousand.
_TAG: Final = re.compile(rb'"delivery_tag": "([\w-]{1,64})"')
_BEGINNING: Final = b'{"body": "'


class Gate:
    """Decides for one worker.

    Args:
        keyring: Opens what is sealed.
        answer: Told of a batch that is too old to run, to tell its client.
        now: The cluster's time, by which ages are measured: clocks of clients and workers may be
            wrong.
        present: Asks which workers of the cluster are present.

    Attributes:
        keyring: As given.
        other_versions: Which calls are left to other workers, and which queues meanwhile.
        refusals: What was not let in; and what children have refused of functions and values.
    """

    def __init__(
        self,
        keyring: Keyring,
        answer: Callable[[Batch, Problem], None],
        now: Callable[[], float] = clock.now,
        present: Callable[[], Sequence[WorkerPresence]] = tuple,
    ) -> None:
        self.keyring = keyring
        self.refusals = keyring.refusals
        self._answer = answer
        self._now = now
        self.other_versions = OtherVersions(present)

    def __json__(self) -> str:
        # kombu keeps it among its options, which it shows to whoever asks for a worker's
        # statistics.
        return "a gate"

    def batch_of(self, envelope: object) -> Batch:
        """The batch in a message as it lies in Redis.

        Args:
            envelope: The message, parsed.

        Raises:
            ForgedError: Nobody who has the secret has sent it.
            VersionMismatchError: It is of another wire format.
            BackendError: It is encrypted, and the package for that is not installed here.
        """
        body = envelope.get("body") if isinstance(envelope, dict) else None
        if not isinstance(body, str):
            raise ForgedError("it has no body")
        return Batch.decode(self._frame(body))

    def _frame(self, body: str) -> Blob:
        try:
            sealed = b64decode(body, validate=True)
        except ValueError:
            raise ForgedError("its body is not in base64") from None
        return self.keyring.open(Purpose.BATCH, sealed)

    def admitted(self, message: bytes, key: str) -> dict[str, Any] | None:
        """A message from a queue, fit for kombu and Celery; None if it was refused or answered
        here.

        Args:
            message: As it lay in Redis.
            key: The list where it lay, of one queue and one priority.

        Raises:
            PutBackError: It is of another version, and workers are present that can run it.
        """
        try:
            return self._admitted(message, key)
        except PutBackError:
            raise
        except (
            Exception
        ) as error:  # Whatever somebody may have come up with: nothing of it may end the worker.
            self.refusals.note("a message", error, message)
            return None

    def _admitted(self, message: bytes, key: str) -> dict[str, Any] | None:
        body, around = _halves(message)
        tag = _TAG.search(around)
        if tag is None:
            raise ForgedError("it has no delivery tag")
        frame = self._frame(body)
        try:
            batch = Batch.decode(frame)
        except VersionMismatchError:
            # By a holder of the secret whose frames are of another version: the child answers it,
            # as it does all other versions.
            batch = _unread(around, frame)
        else:
            if abs(self._now() - batch.issued) > batch.lifetime:
                self.refusals.note("a message", "it is older than it may be", message)
                self._answer(batch, Problem("expired", "the message is older than it may be"))
                return None
        queue, _, step = key.partition(PRIORITY_SEPARATOR)
        if self.other_versions.are_to_run(batch, queue):
            raise PutBackError(tag[1].decode())
        return envelope_of(batch, body, queue=queue, step=int(step or 0), tag=tag[1].decode())

    def order(self, envelope: object) -> dict[str, Any] | None:
        """An envelope of remote control, fit for kombu; None if it was refused."""
        try:
            return self._order(envelope)
        except Exception as error:  # As above.
            self.refusals.note("an order", error, envelope)
            return None

    def _order(self, envelope: Any) -> dict[str, Any]:
        body = json.loads(b64decode(envelope["body"], validate=True))
        method, arguments, reply_to = (
            body["method"],
            body.get("arguments") or {},
            body.get("reply_to"),
        )
        if method not in ORDERS:
            raise ForgedError("a command that workers of this library do not take")
        names, pattern, matcher = body.get("destination"), body.get("pattern"), body.get("matcher")
        if names is not None and not all(isinstance(name, str) for name in names):
            raise ValueError("destination")
        if not isinstance(arguments, dict) or matcher not in (None, "glob"):
            raise ValueError("arguments")
        if method in SEALED_ORDERS:
            # The command itself opens it once more: here it is only counted, if it is to be
            # refused.
            opened_order(self.keyring, method, arguments.get("order"), self._now())
        clean = {
            "method": method,
            "arguments": {_name(key): value for key, value in arguments.items()},
            "destination": names,
            "pattern": None if pattern is None else _name(pattern),
            "matcher": matcher,
            "ticket": _name(body.get("ticket")),
            "reply_to": reply_to
            and {
                "exchange": _name(reply_to["exchange"]),
                "routing_key": _name(reply_to["routing_key"]),
            },
        }
        expires = float(envelope["headers"].get("expires") or 0)
        if expires:
            expires += clock.wall() - self._now()  # kombu compares it with this machine's clock.
        return {
            "body": json.dumps(clean),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 0, "expires": expires},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
                "priority": 0,
                "delivery_tag": _name(envelope["properties"]["delivery_tag"]),
            },
        }


def _halves(message: bytes) -> tuple[str, bytes]:
    """The body of a message, and what is around it, which nobody has signed and hardly anybody
    looks at.
    """
    end = message.find(b'"', len(_BEGINNING))
    if not message.startswith(_BEGINNING) or end < 0:
        raise ForgedError("it has not the form that this library gives to messages")
    return message[len(_BEGINNING) : end].decode("ascii"), message[end + 1 :]


def _unread(around: bytes, frame: Blob) -> Batch:
    """What stands around a body that only another version can read: enough to tell its client."""
    if len(around) > MOST_AROUND:
        raise ForgedError("there is too much around its body")
    envelope = json.loads(b'{"body": ""' + around)
    name, reply_to = envelope["headers"]["id"], envelope["properties"]["reply_to"]
    return Batch.unread(frame, _name(name), _name(reply_to))


def _name(value: Any) -> str:
    """A text, if it is one that prints and is no longer than names are; else nothing: Celery logs
    some of them.
    """
    return value if text(value) and value.isprintable() and len(value) <= LONGEST_NAME else ""
