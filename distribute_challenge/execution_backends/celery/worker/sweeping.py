"""Finds messages that other workers have lost: they did not renew them for the time of a lease.

Each worker looks every second, and tells the client of a lost message. The client decides whether
its calls are tried again, as it knows how often they were tried. For a detached call, its record
decides (`broker.detached`). Messages of detached calls that no worker holds are looked for in
`overlooked`.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from distribute_challenge.core.messages import Batch, Problem
from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.line import Line
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.held import (
    Held,
    Holder,
    holder_of,
    parts_of,
    strike_command,
)
from distribute_challenge.execution_backends.celery.worker.overlooked import Overlooked
from distribute_challenge.execution_backends.celery.worker.replying import send_problem
from distribute_challenge.log import logger

__all__ = ["SWEEP", "Sweeper"]

SWEEP = 1.0  # Seconds between two looks.
# Seconds since the last look after which other workers may have been cut off like this one, and
# must get time to renew first.
GAP = 3.5
AT_ONCE = 100  # Messages of one look; a guess.

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


class Sweeper:
    """Finds lost messages for one worker; the worker's `PresenceStep` calls it.

    A new sweeper, or one that has not looked for `GAP` seconds, waits for the time of a lease
    before it takes any message for lost.

    Args:
        connection: To the broker.
        held: The messages that this worker holds itself, and may be late to renew.
        gate: Checks that a message comes from a holder of the secret.
        book: Key of the hash of unacknowledged messages.
        lease: Seconds without a renewal after which a message is lost.
        give_up: Tells whether this worker was told to end.
    """

    def __init__(
        self,
        connection: Broker,
        held: Held,
        gate: Gate,
        *,
        book: str,
        lease: float,
        give_up: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._line = Line(connection)
        self._held = held
        self._book = book
        self._lease = lease
        self._give_up = give_up
        self._overlooked = Overlooked(connection)
        self._looked = self._from = 0.0

    def sweep(self) -> None:
        """Look for lost messages once.

        Raises:
            redis.RedisError: Redis is away, or full.
        """
        for tag, entry in self._claim():
            # Other programs may write there: a tag that is no text is not ours.
            if tag.decode(errors="replace") not in self._held:
                self._make_good(tag, entry)
        if self._looked >= self._from:
            self._overlooked.look()

    def hold_off(self) -> None:
        """Take nothing for lost until the time of a lease is over.

        Called if Redis did not take this worker's renewals: it may refuse those of others, too.
        """
        self._looked = 0.0

    def _claim(self) -> list[tuple[bytes, bytes]]:
        arguments = map(str, (self._lease, self._looked, GAP, self._from, AT_ONCE))
        answer: Any = self._connection.run(_CLAIM, (self._book, f"{self._book}_index"), *arguments)
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
            self._gate.refusals.note("an entry of the book", error, entry)
        else:
            self._tell(batch, self._holder_of(head))
        self._line.send(strike_command(self._book, tag, head))
        self._line.settle()

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
        send_problem(self._line, self._connection.keyring, batch, problem, worker, self._give_up)

    def _holder_of(self, head: bytes) -> Holder | None:
        """Return the process that held a message; None if the entry has no valid signature."""
        try:
            return holder_of(head, self._gate.keyring)
        except DistributeChallengeError as error:
            self._gate.refusals.note("the name of a message's holder", error, head)
            return None
