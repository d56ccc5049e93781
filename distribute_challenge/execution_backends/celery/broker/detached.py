"""What Redis keeps of a detached call, and the steps of its life.

Each is one script: taken whole or not at all, by whoever is first.

    client ─ add ──────► record, with the message; the message in its queue; the function
    worker ─ answer ───► the outcome, and the record goes; or, if its process died, the message in its queue once more
    client ─ look ─────► the same for a message that is nowhere any more
    client ─ take_back ► nothing is left

A call is open as long as its record is there. So its first outcome counts, and one of a call that
was cancelled is dropped; nobody has to be alive for that but the worker. What its record, its
message and its function take is free when it ends, or `OPEN_EXPIRY` after it was submitted.

Records are not signed. One that no client can have written is none. One that is put back after its
call has ended is found out by the outcome, which is signed: as long as that is kept, the call does
not run again.
"""

import re
import uuid
from collections.abc import Collection
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
from distribute_challenge.execution_backends.celery.broker.line import Command
from distribute_challenge.execution_backends.celery.broker.publishing import (
    PRIORITY_SEPARATOR,
    Message,
)
from distribute_challenge.security import Purpose

__all__ = ["LONGEST_IN_QUEUE", "DetachedRecords", "Look", "answer_commands"]

LONGEST_IN_QUEUE: Final = (
    7 * 86400.0
)  # Seconds that a call waits for a worker, unless its `queue_timeout` says less.
OPEN_EXPIRY: Final = 8 * 86400  # Seconds; a day more, for the call that began last.
ANSWER_EXPIRY: Final = (
    60  # Seconds that half an answer stays, if a worker dies in the middle of giving it.
)
AT_ONCE: Final = 1000  # Keys that one command asks for.
# Seconds between two looks that have to miss a message: from queue to worker it is nowhere for a
# moment.
APART = 1.5
UNSEEN = 2.0  # Seconds since the last look at a call after which workers look,
TURN = 1.0  # one of them in so many.

_ID: Final = re.compile(rb"[0-9a-f]{32}")


class Look(NamedTuple):
    """Where an open call's message is.

    Args:
        state: ``"held"`` by a worker; ``"waiting"`` in its queue; ``"missing"`` from both;
            ``"again"``: it was missing for the second time, and is in its queue once more;
            ``"lost"``: likewise, but it has had all its attempts; ``"late"``: it was taken back,
            because its time in the queue is over; ``"over"``: the call is not open.
        tag: Names the message.
        queue: Celery queue that it belongs to.
    """

    state: Literal["held", "waiting", "missing", "again", "lost", "late", "over"]
    tag: str
    queue: str


class DetachedRecords:
    """The detached calls of a cluster, as a client sees them.

    Guarantees: safe for threads. Every method raises `redis.RedisError` if the broker does not do
    what it is asked.

    Args:
        connection: To the broker.
    """

    def __init__(self, connection: Broker) -> None:
        self._connection = connection

    def add(
        self,
        call: str,
        message: Message,
        function: FunctionPayload,
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
            keep: Seconds that its outcome is kept.
            attempts: How often it is begun in all if its worker dies each time.
            until: When it is too late to begin it, in seconds since the epoch.
        """
        keys = detached_key(call), detached_function_key(function.digest), message.key
        rest = OPEN_EXPIRY, call, message.data, message.tag, int(keep * 1000), attempts, until
        # The function most likely is there: it goes along only if not.
        if not self._connection.run(ADD, keys, b"", *rest):
            sealed = self._connection.keyring.seal(
                Purpose.function(function.digest), [function.payload]
            )
            self._connection.run(ADD, keys, sealed, *rest)

    def over(self, calls: Collection[str]) -> list[str]:
        """Those of some calls that are not open: they have an outcome, or there are no such calls."""
        names, found = list(calls), []
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            # One answer for all of them, unless some have ended.
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
        """The reply to a call that is not open, or what else lies there; None if nothing does, or
        not any more.
        """
        try:
            # Typed as text too, which this connection does not decode to.
            return cast("bytes | None", self._connection.get(outcome_key(call)))
        except redis.ResponseError as error:
            if "WRONGTYPE" in str(error):
                return b""  # Nobody's reply.
            raise

    def has_ended(self, call: str) -> bool:
        """Whether a message of a call is not to run, in one round trip as long as it is.

        It has ended if there is no record of it. Where there is one beside an outcome, it was put
        back: it goes once more.
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
            return False  # It has expired just now.
        keyring = self._connection.keyring
        try:
            keyring.open(Purpose.reply(outcome_key(call)), sealed)
        except ForgedError as error:
            # It ends no call: the true one takes its place.
            keyring.refusals.note("an outcome", error, sealed)
            return False
        except BackendError:
            pass  # Signed, and encrypted.
        return True

    def look(self, call: str, *, ends: bool = True) -> Look:
        """See where a call's message is, and send it again if it is lost: if it was missing at an
        earlier look already.

        Args:
            call: Its id.
            ends: Whether to end a call whose time in the queue is over, or which was sent as often
                as it may be. Who has nobody to tell of it leaves it as it is, for whoever asks.
        """
        found = self._connection.run(
            LOOK, (detached_key(call), UNACKED), call, APART, _new_tag(), "1" if ends else ""
        )
        # What comes from the record may be any bytes.
        state, tag, key = (part.decode(errors="replace") for part in found)
        return Look(state, tag, key.partition(PRIORITY_SEPARATOR)[0])

    def overlooked(self, most: int) -> list[str]:
        """Open calls at which nobody has looked for `UNSEEN` seconds, the longest first; none if
        another worker has just asked.

        Args:
            most: How many.
        """
        names = [name for name in self._connection.run(OVERLOOKED, (), TURN, UNSEEN, most) if name]
        calls = [name for name in names if _ID.fullmatch(name)]
        if strange := set(names).difference(calls):
            self._connection.zrem(DETACHED_OPEN, *strange)  # No call has such an id.
        return [name.decode() for name in calls]

    def is_held(self, call: str) -> bool:
        """Whether a worker has a call."""
        tag = cast("bytes | None", self._connection.hget(detached_key(call), "tag"))
        return tag is not None and bool(self._connection.hexists(UNACKED, tag))

    def take_back(self, call: str) -> bool:
        """Take a call out of its queue, for ever; False if it is not there."""
        return bool(self._connection.run(TAKE_BACK, (detached_key(call),)))


def answer_commands(reply_to: str, sealed: bytes, *, lost: bool) -> list[Command]:
    """The worker's end: what gives a detached call its outcome, or sends it again because the
    process that ran it died.

    The commands can be sent more than once.

    Args:
        reply_to: Where the reply goes.
        sealed: The reply, which is the only one to its call.
        lost: Whether it says no more than that the process died.
    """
    tag = _new_tag() if lost else ""
    # Not as an argument of the script, which would copy it.
    answer = f"{reply_to}:{uuid.uuid4().hex}"
    keys = reply_to.removesuffix(":outcome"), reply_to, answer
    return [("SET", answer, sealed, "EX", ANSWER_EXPIRY), ("EVAL", ANSWER, len(keys), *keys, tag)]


def _new_tag() -> str:
    return str(uuid.uuid4())
