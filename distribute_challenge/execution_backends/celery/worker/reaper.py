"""Finds messages that are lost: their worker is gone, or no worker ever got them.

Each worker looks every second for messages that other workers have not renewed for the time of a
lease, and tells the client of each. The client decides whether its calls are tried again, as it
knows how often they were tried. For a detached call, its record decides (`broker.detached`).

Redis may also give a message to a worker that is gone: its machine has lost its power, say, and
Redis does not know yet. A client finds such messages of its own calls (`client.lost_messages`), and
of a detached call that it waits for. As long as no client waits for a detached call, the workers
look.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from distribute_challenge.core.messages import Batch, Problem
from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.replying import send_problem
from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages
from distribute_challenge.execution_backends.celery.worker.unacked_entries import (
    Holder,
    ack_command,
    holder_of,
    parts_of,
)
from distribute_challenge.log import logger

__all__ = ["EVERY", "Reaper"]

EVERY = 1.0  # Seconds between two looks.
# Seconds since the last look after which other workers may have been cut off like this one, and
# must get time to renew first.
GAP = 3.5
AT_ONCE = 100  # Messages of one look; a guess.

DETACHED_EVERY = 2  # Looks for messages of detached calls only each second time,
DETACHED_FOR = 0.02  # and for so many seconds: Redis searches the queue for each call.

# KEYS: the hash of unacknowledged messages, its index. ARGV: lease, time of the last look, gap,
# earliest time to find anything, most messages to find. The caller gets a new lease for each
# message that it finds: if that worker dies, too, another one finds the message.
_CLAIM: Final = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local found = {string.format('%.6f', now)}
if now - ARGV[2] > tonumber(ARGV[3]) or now < tonumber(ARGV[4]) then
    return found
end
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[1], \
'LIMIT', 0, ARGV[5])) do
    local entry = redis.call('HGET', KEYS[1], tag)
    if entry then
        redis.call('ZADD', KEYS[2], now, tag)
        table.insert(found, tag)
        table.insert(found, entry)
    else
        redis.call('ZREM', KEYS[2], tag)
    end
end
return found
"""


class Reaper:
    """Finds lost messages for one worker; the worker's `PresenceStep` calls it.

    A new reaper, or one that has not looked for `GAP` seconds, waits for the time of a lease
    before it takes any message for lost.

    Args:
        connection: To the broker.
        held: The messages that this worker holds itself, and may be late to renew.
        gate: Checks that a message comes from a holder of the secret.
        unacked_key: Key of the hash of unacknowledged messages.
        lease: Seconds without a renewal after which a message is lost.
        give_up: Tells whether this worker was told to end.
    """

    def __init__(
        self,
        connection: Broker,
        unacked: UnackedMessages,
        gate: Gate,
        *,
        unacked_key: str,
        lease: float,
        give_up: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._pipelined = PipelinedConnection(connection)
        self._unacked = unacked
        self._unacked_key = unacked_key
        self._lease = lease
        self._give_up = give_up
        self._records = DetachedRecords(connection)
        self._looks = 0
        self._looked = self._from = 0.0

    def reap(self) -> None:
        """Look for lost messages once.

        Raises:
            redis.RedisError: Redis is away, or full.
        """
        for tag, entry in self._claim():
            # Other programs may write there: a tag that is no text is not ours.
            if tag.decode(errors="replace") not in self._unacked:
                self._make_good(tag, entry)
        if self._looked >= self._from:
            self._looks += 1
            if self._looks % DETACHED_EVERY == 0:
                self._look_for_detached()

    def hold_off(self) -> None:
        """Take nothing for lost until the time of a lease is over.

        Called if Redis did not take this worker's renewals: it may refuse those of others, too.
        """
        self._looked = 0.0

    def _look_for_detached(self) -> None:
        """Send messages of detached calls again that no worker holds, and no queue.

        The workers take turns, so that a thousand workers ask Redis no more often than one.
        """
        until = time.monotonic() + DETACHED_FOR
        for call in self._records.overlooked(AT_ONCE):
            if self._records.look(call, ends=False).state == "again":
                logger.warning(
                    "the message of the detached call %s was lost, and is sent again", call
                )
            if time.monotonic() > until:
                return

    def _claim(self) -> list[tuple[bytes, bytes]]:
        arguments = map(str, (self._lease, self._looked, GAP, self._from, AT_ONCE))
        answer: Any = self._connection.run(
            _CLAIM, (self._unacked_key, f"{self._unacked_key}_index"), *arguments
        )
        now = float(answer[0])
        if now - self._looked > GAP:
            self._from = now + self._lease
        self._looked = now
        return list(zip(answer[1::2], answer[2::2], strict=True))

    def _make_good(self, tag: bytes, entry: bytes) -> None:
        head = b""
        try:
            head, data = parts_of(entry)
            batch = self._gate.batch_of(json.loads(data))
        except Exception as error:
            # No holder of the secret has written it, or the message cannot be read; then its worker
            # could not run it, either.
            self._gate.refusals.note("the entry of a message", error, entry)
        else:
            self._tell(batch, self._holder_of(head))
        self._pipelined.send(ack_command(self._unacked_key, tag, head))
        self._pipelined.settle()

    def _tell(self, batch: Batch, holder: Holder | None) -> None:
        name = (
            "of which no more is known"
            if holder is None
            else f"process {holder.pid} on {holder.host}"
        )
        text = f"the worker, {name}, gave no sign of life for {self._lease:g} s"
        logger.warning("%s is lost: %s", batch.name, text)
        facts = {"worker_lost": True, **({} if holder is None else holder._asdict())}
        worker = "" if holder is None else name
        problem = Problem("lost", text, facts)
        send_problem(
            self._pipelined, self._connection.keyring, batch, problem, worker, self._give_up
        )

    def _holder_of(self, head: bytes) -> Holder | None:
        """Return the process that held a message; None if the entry has no valid signature."""
        try:
            return holder_of(head, self._gate.keyring)
        except DistributeChallengeError as error:
            self._gate.refusals.note("the name of a message's holder", error, head)
            return None
