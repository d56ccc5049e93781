"""Checks all messages and commands for a worker, so that Celery and kombu only get harmless ones.

    queue ──► admitted ──► kombu's message, made anew from its signed parts ──► Celery
    remote control ──► command ──► its envelope, made anew from its checked parts ──► Celery

Other programs may be able to write into Redis. kombu and Celery read headers, properties and bodies
long before our own code gets them, and many unexpected values end their main process. So they get
only what a holder of the secret has signed, and of a command's envelope only harmless values.
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
from distribute_challenge.execution_backends.celery.broker.commands import (
    CANCEL,
    SCALE,
    open_command,
)
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

__all__ = ["COMMANDS", "Gate"]

#: Our own commands, whose only argument is signed.
SIGNED_COMMANDS: Final = frozenset({CANCEL, SCALE})

#: Our commands, and the commands of Celery that only report. All others change what a worker does,
#: some even which code it runs, and Celery cannot tell which program sends them.
COMMANDS: Final = SIGNED_COMMANDS | {
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
    """Decides which messages and commands one worker admits; the worker's channels call it.

    Args:
        keyring: Opens what is sealed.
        answer: Sends the client of a batch a problem: that the batch is too old.
        now: Returns the cluster's time, by which ages are measured, as the clocks of clients and
            workers may be wrong.
        present: Finds the workers of the cluster that are present.

    Attributes:
        keyring: As given.
        other_versions: Decides which calls are left to other workers.
        refusals: Counts what the gate refused, and functions and values that children refused.
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
        # The gate is one of kombu's options, which a worker's statistics show as JSON.
        return "a gate"

    def batch_of(self, envelope: object) -> Batch:
        """Return the batch in a message as it lies in Redis.

        Args:
            envelope: The message, parsed.

        Raises:
            ForgedError: No holder of the secret has sent it.
            VersionMismatchError: It has another wire format.
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
        """Check a message from a queue.

        Args:
            message: The message, as it lay in Redis.
            key: Key of the list where it lay, of one queue and one priority.

        Returns:
            The message for kombu and Celery; None if it was refused, or answered as too old.

        Raises:
            PutBackError: It is of another version, and workers are present that can run it.
        """
        try:
            return self._admitted(message, key)
        except PutBackError:
            raise
        # No message, however strange, may end the worker.
        except Exception as error:
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
            # It is signed, but its wire format is of another version: the child answers it, as it
            # answers calls of all other versions.
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

    def command(self, envelope: object) -> dict[str, Any] | None:
        """Check an envelope of remote control.

        Args:
            envelope: The envelope, parsed.

        Returns:
            The envelope for kombu; None if it was refused.
        """
        try:
            return self._command(envelope)
        except Exception as error:  # No command, however strange, may end the worker.
            self.refusals.note("a command", error, envelope)
            return None

    def _command(self, envelope: Any) -> dict[str, Any]:
        body = json.loads(b64decode(envelope["body"], validate=True))
        method, arguments, reply_to = (
            body["method"],
            body.get("arguments") or {},
            body.get("reply_to"),
        )
        if method not in COMMANDS:
            raise ForgedError("a command that workers of this library do not take")
        names, pattern, matcher = body.get("destination"), body.get("pattern"), body.get("matcher")
        if names is not None and not all(isinstance(name, str) for name in names):
            raise ValueError("destination")
        if not isinstance(arguments, dict) or matcher not in (None, "glob"):
            raise ValueError("arguments")
        if method in SIGNED_COMMANDS:
            # The control command opens it again; opened here, a refusal is counted.
            open_command(self.keyring, method, arguments.get("command"), self._now())
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
    """Split a message into its body, and the text around the body, which is not signed."""
    end = message.find(b'"', len(_BEGINNING))
    if not message.startswith(_BEGINNING) or end < 0:
        raise ForgedError("it has not the form that this library gives to messages")
    return message[len(_BEGINNING) : end].decode("ascii"), message[end + 1 :]


def _unread(around: bytes, frame: Blob) -> Batch:
    """Make a batch from what is around a body of another version: enough to tell its client.

    Args:
        around: The message without its body.
        frame: The body, opened.
    """
    if len(around) > MOST_AROUND:
        raise ForgedError("there is too much around its body")
    envelope = json.loads(b'{"body": ""' + around)
    name, reply_to = envelope["headers"]["id"], envelope["properties"]["reply_to"]
    return Batch.unread(frame, _name(name), _name(reply_to))


def _name(value: Any) -> str:
    """Return a value if it is a short text that can be printed, else an empty text.

    Celery logs some of these values.
    """
    return value if text(value) and value.isprintable() and len(value) <= LONGEST_NAME else ""
