"""The records of detached calls in Redis, and the steps from submission to outcome.

Each step is one script: it is taken whole or not at all, by the first process that takes it.

    client ─ add ──────► the record, with the message; the message in its queue; the function
    worker ─ answer ───► the outcome, and the record is deleted;
                         or, if the child process died, the message in its queue once more
    client ─ look ─────► if the message is gone: in its queue once more, or no record any more
    client ─ take_back ► no record, and no message

A call is open as long as its record is there. So its first outcome counts, and one of a call that
was cancelled is dropped; only the worker has to be alive for that. The memory of its record, its
message, its arguments and its function is freed when it ends, or `OPEN_EXPIRY` after it was
submitted.

Records are not signed. A record that no client can have written is ignored. If an attacker puts a
record back after its call has ended, the outcome, which is signed, shows that: as long as the
outcome is kept, the call does not run again.
"""

import re
import uuid
from collections.abc import Collection, Iterable
from typing import Final, Literal, NamedTuple, cast

import redis

from distribute_challenge.core.messages import FunctionPayload
from distribute_challenge.errors import BackendError, ForgedError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.detached_scripts import (
    ADD,
    ANSWER,
    CLOSE,
    LOOK,
    OVERLOOKED,
    TAKE_BACK,
)
from distribute_challenge.execution_backends.celery.broker.keys import (
    DETACHED_OPEN,
    UNACKED,
    detached_function_key,
    detached_key,
    outcome_key,
)
from distribute_challenge.execution_backends.celery.broker.pipelined import Command
from distribute_challenge.execution_backends.celery.broker.publishing import (
    PRIORITY_SEPARATOR,
    Message,
)
from distribute_challenge.security import Purpose

__all__ = ["LONGEST_IN_QUEUE", "DetachedRecords", "Look", "answer_commands"]

LONGEST_IN_QUEUE: Final = (
    7 * 86400.0
)  # Seconds that a call waits for a worker, unless its `queue_timeout` says less.
OPEN_EXPIRY: Final = 8 * 86400  # Seconds: a day longer, for a call that begins at the last moment.
ANSWER_EXPIRY: Final = (
    60  # Seconds that half an answer stays, if a worker dies between its two commands.
)
AT_ONCE: Final = 1000  # Keys that one command asks for.
# Seconds between two looks that must both miss a message before it counts as lost: on its way from
# the queue to a worker, it is in neither for a moment.
APART = 1.5
UNSEEN = 2.0  # Seconds since the last look at a call after which a worker looks for its message.
TURN = 1.0  # Seconds between two workers that look for such calls.

_ID: Final = re.compile(rb"[0-9a-f]{32}")


class Look(NamedTuple):
    """The place of an open call's message.

    Args:
        state: ``"held"`` by a worker; ``"waiting"`` in its queue; ``"missing"`` from both;
            ``"again"``: it was missing for the second time, and is in its queue once more;
            ``"lost"``: it was missing for the second time, and has had all its attempts;
            ``"late"``: it was taken back, because its time in the queue is over; ``"over"``: the
            call is not open.
        tag: Delivery tag of the message.
        queue: Celery queue that it belongs to.
    """

    state: Literal["held", "waiting", "missing", "again", "lost", "late", "over"]
    tag: str
    queue: str


class DetachedRecords:
    """The records of a cluster's detached calls; clients use it, and workers for lost messages.

    Guarantees: safe for threads. Every method raises `redis.RedisError` if the broker does not
    answer, or refuses.

    Args:
        connection: The connection to the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection

    def add(
        self,
        call: str,
        message: Message,
        function: FunctionPayload,
        arguments: Iterable[str] = (),
        *,
        keep: float,
        attempts: int,
        until: float,
    ) -> None:
        """Submit a call.

        Args:
            call: Its id.
            message: What is put into its queue.
            function: What it calls.
            arguments: Keys that hold its large arguments. They are kept as long as the call is
                open.
            keep: Seconds that its outcome is kept.
            attempts: How often it is begun in all if its worker dies each time.
            until: When it is too late to begin it, in seconds since the epoch.
        """
        keys = detached_key(call), detached_function_key(function.digest), message.key
        rest = (
            OPEN_EXPIRY,
            call,
            message.data,
            message.tag,
            " ".join(arguments),
            int(keep * 1000),
            attempts,
            until,
        )
        # The function most likely is there: it goes along only if not.
        if not self._connection.run(ADD, keys, b"", *rest):
            sealed = self._connection.keyring.seal(
                Purpose.function(function.digest), [function.payload]
            )
            self._connection.run(ADD, keys, sealed, *rest)

    def over(self, calls: Collection[str]) -> list[str]:
        """Return the calls that are not open: they have an outcome, or they do not exist."""
        names, found = list(calls), []
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            # One command checks all calls; each is checked by itself only if some have ended.
            if self._connection.exists(*map(detached_key, some)) < len(some):
                with self._connection.pipeline(transaction=False) as pipeline:
                    for name in some:
                        pipeline.exists(detached_key(name))
                    found += [
                        name
                        for name, is_open in zip(some, pipeline.execute(), strict=True)
                        if not is_open
                    ]
        return found

    def outcome(self, call: str) -> bytes | None:
        """Return the value at the key of a call's reply; None if there is none.

        The caller checks that it is a reply.
        """
        try:
            # redis-py's type includes text, but this connection returns bytes.
            return cast("bytes | None", self._connection.get(outcome_key(call)))
        except redis.ResponseError as error:
            if "WRONGTYPE" in str(error):
                return b""  # Another type of value is no reply.
            raise

    def has_ended(self, call: str) -> bool:
        """Whether a message of a call must not run; takes one round trip for an open call.

        A call has ended if it has no record. If there are both a record and an outcome, an old
        record was put back, and this method deletes it.
        """
        record, outcome = detached_key(call), outcome_key(call)
        with self._connection.pipeline(transaction=False) as pipeline:
            pipeline.exists(record)
            pipeline.exists(outcome)
            is_open, has_outcome = pipeline.execute()
        if is_open and has_outcome and self._has_signed_outcome(call):
            self._connection.run(CLOSE, (record,))
            return True
        return not is_open

    def _has_signed_outcome(self, call: str) -> bool:
        sealed = self.outcome(call)
        if sealed is None:
            return False  # The outcome has just expired.
        keyring = self._connection.keyring
        try:
            keyring.open(Purpose.reply(outcome_key(call)), sealed)
        except ForgedError as error:
            # A forged outcome ends no call: the real one replaces it.
            keyring.refusals.note("an outcome", error, sealed)
            return False
        except BackendError:
            pass  # The outcome is signed, and encrypted.
        return True

    def look(self, call: str, *, ends: bool = True) -> Look:
        """Find a call's message, and send it again if it is lost.

        It is lost if it is missing, and was missing at an earlier look already.

        Args:
            call: Its id.
            ends: Whether to end a call whose time in the queue is over, or which was sent as often
                as it may be. False for workers, which cannot tell the caller: they leave the call
                as it is for the next client that looks.
        """
        found = self._connection.run(
            LOOK, (detached_key(call), UNACKED), call, APART, _new_tag(), "1" if ends else ""
        )
        # The values from the record may be any bytes.
        state, tag, key = (part.decode(errors="replace") for part in found)
        return Look(state, tag, key.partition(PRIORITY_SEPARATOR)[0])

    def overlooked(self, most: int) -> list[str]:
        """Return open calls that no process has looked at for `UNSEEN` seconds, the longest first.

        The list is empty if another worker has just asked.

        Args:
            most: How many calls to return at most.
        """
        names = [name for name in self._connection.run(OVERLOOKED, (), TURN, UNSEEN, most) if name]
        calls = [name for name in names if _ID.fullmatch(name)]
        if strange := set(names).difference(calls):
            self._connection.zrem(DETACHED_OPEN, *strange)  # These are no ids of calls.
        return [name.decode() for name in calls]

    def is_held(self, call: str) -> bool:
        """Whether a worker holds a call's message."""
        tag = cast("bytes | None", self._connection.hget(detached_key(call), "tag"))
        return tag is not None and bool(self._connection.hexists(UNACKED, tag))

    def take_back(self, call: str) -> bool:
        """Take a call out of its queue for good; False if it is not there."""
        return bool(self._connection.run(TAKE_BACK, (detached_key(call),)))


def answer_commands(reply_to: str, sealed: bytes, *, lost: bool) -> list[Command]:
    """Return the commands by which a worker gives a detached call its outcome, or sends it again.

    It is sent again if the child process that ran it died. The commands may be sent more than once.

    Args:
        reply_to: The key for the reply.
        sealed: The reply, which is the only one to its call.
        lost: Whether the reply only says that the process died.
    """
    tag = _new_tag() if lost else ""
    # The reply is no argument of the script, because Redis would copy it.
    answer = f"{reply_to}:{uuid.uuid4().hex}"
    keys = reply_to.removesuffix(":outcome"), reply_to, answer
    return [("SET", answer, sealed, "EX", ANSWER_EXPIRY), ("EVAL", ANSWER, len(keys), *keys, tag)]


def _new_tag() -> str:
    return str(uuid.uuid4())
