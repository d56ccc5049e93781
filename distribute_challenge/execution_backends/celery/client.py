"""One client of a cluster: two threads and a handful of connections, whatever is on its way.

    submit ──> outbox ──> sender thread ──> publisher ──> queue in Redis ──> worker
    send_now ─────────────────────────────────^ (the caller's own thread)      │
    futures <── receiver thread <── this client's reply list <─────────────────┤
    result() of a `DirectCall` <── a list of its own <─────────────────────────┘

Guarantees:

- ``_lock`` protects the `Books`. Nothing waits for Redis, and no future is resolved, under it.
- A call is in the outbox or in exactly one `SentBatch`, until its future is done.
- Futures of calls that were sent are resolved by the receiver thread, or by the caller that waits at a line of its own. A list
  has one reader at a time.
- The large values of a task have it as a user until its call is done, however it ends.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import redis

from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    DistributeChallengeError,
    ForgedError,
    SystemFailureError,
    VersionMismatchError,
)
from distribute_challenge.execution_backends.base import closed
from distribute_challenge.execution_backends.celery import presence
from distribute_challenge.execution_backends.celery.books import Books
from distribute_challenge.execution_backends.celery.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.census import Census
from distribute_challenge.execution_backends.celery.client_values import ClientValues, explain
from distribute_challenge.execution_backends.celery.connection import check_reachable, connect, translated
from distribute_challenge.execution_backends.celery.direct import DirectCall, DirectLines
from distribute_challenge.execution_backends.celery.keys import REPLY_EXPIRY, replies_key
from distribute_challenge.execution_backends.celery.losses import verdict, verdict_on_missing
from distribute_challenge.execution_backends.celery.publisher import RECONNECT_PAUSE, Publisher
from distribute_challenge.futures import Future
from distribute_challenge.log import logger
from distribute_challenge.messages import Problem, Reply, Task
from distribute_challenge.outcome import Failure
from distribute_challenge.sections import outcomes_of
from distribute_challenge.security import Purpose
from distribute_challenge.settings import masked
from distribute_challenge.stores import Depot

__all__ = ["Client"]

REPLIES_AT_ONCE = 100  # Replies fetched in one round trip when many are there.
LONGEST_WAIT = 1.0  # Seconds that the receiver waits for a reply before it looks after everything else.


class Client:
    """Sends calls to a cluster and receives their outcomes.

    Args:
        url: The broker.
        check: Called about once a second; what it raises fails all calls (the embedded cluster died).
        slots: Worker processes, if the caller knows.
        own_machine: Whether all workers are known to share this machine's memory.

    Raises:
        BrokerUnreachableError: The broker does not answer.
    """

    def __init__(
        self,
        url: str,
        *,
        check: Callable[[], None] | None = None,
        slots: int | None = None,
        own_machine: bool = False,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.broken: SystemFailureError | None = None
        self._url = url
        self._check = check or (lambda: None)
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._books = Books(self.id, self._work)
        self._census = Census(url, slots)
        self._closing = False
        self._take_back = self.withdraw  # One object for all calls, of which there may be many.
        check_reachable(url)
        self._receiving = connect(url)
        self._keyring = self._receiving.keyring
        self._replies = replies_key(self.id)
        self._values = ClientValues(self.id, connect(url), own_machine=own_machine)
        self._publisher = Publisher(url, self.id, self._replies, self._values.names)
        self._direct = DirectLines(url, self._replies, take=self._take, wake=self._publisher.wake_receiver)
        self._threads = [
            threading.Thread(target=target, name=f"distribute_challenge {name}", daemon=True)
            for target, name in ((self._send_forever, "sender"), (self._receive_forever, "receiver"))
        ]
        for thread in self._threads:
            thread.start()

    # --- what the backend asks for

    def submit(self, task: Task) -> Call:
        """Send a call soon, together with others."""
        call = self._prepared(Call(task, self._take_back))
        with self._work:
            self._refuse_if_closed()
            self._books.put(call)
        return call

    def send_now(self, task: Task) -> Call:
        """Send a call at once, by itself, from this thread.

        Raises:
            BrokerUnreachableError: The broker went away.
        """
        call = self._prepared(DirectCall(task, self._take_back))
        with self._lock:
            self._refuse_if_closed()
            batch = self._books.register(self._books.outbox.group_of(task), [call], slots=1)
        try:
            with translated(self._url), self._direct.borrowed() as line:
                self._publisher.publish(batch, line)
        except BrokerUnreachableError as error:
            with self._lock:
                self._books.drop(batch)
            call.fail(error)  # It has values, perhaps, that nobody needs now.
            raise
        return call

    def withdraw(self, call: Call) -> bool:
        """Take a call back; True if no worker has it or will have it."""
        with self._lock:
            if call.batch is None:
                return self._books.outbox.remove(call)
            batch, message = call.batch, call.batch.message
        if message is None or not self._publisher.take_back(message):
            return False
        with self._work:
            self._books.drop(batch)
            self._books.put_back([other for other in batch.unfinished if other is not call])
        return True

    def depot(self) -> Depot:
        """Who keeps large values for this client.

        Raises:
            BrokerUnreachableError: It is time to know who the workers are, and the broker went away.
        """
        with translated(self._url):
            return self._values.depot(self._publisher.workers)

    def slots(self) -> int:
        """Worker processes of the whole cluster, as far as is known."""
        return self._census.slots()

    def close(self) -> None:
        """Stop, and cancel what is not done."""
        self._give_up(None)
        self._publisher.wake_receiver()
        for thread in self._threads:
            thread.join(2 * LONGEST_WAIT)
        self._direct.close()
        self._values.close()
        self._publisher.close(self.id, self._direct.keys)
        self._receiving.close()

    # --- sending

    def _send_forever(self) -> None:
        while True:
            with self._work:
                while not self._closing and (group := self._books.next_group(self._census.slots)) is None:
                    self._work.wait()
                if self._closing:
                    return
                assert group is not None
                slots = self._census.slots(group.options.queue)
                batch = self._books.register(group, group.take(slots), slots)
            self._publisher.publish_in_the_end(batch, self._is_closing)
            # While there is nothing to send, this frame would keep futures that nobody else does, and all they refer to.
            del batch, group

    # --- receiving

    def _receive_forever(self) -> None:
        looked_after = 0.0
        while not self._closing:
            try:
                try:
                    self._receive()
                    now = time.monotonic()
                    if now - looked_after > LONGEST_WAIT:
                        looked_after = now
                        self._check()
                        self._look_after(now)
                        self._direct.look_after()
                except (redis.RedisError, OSError) as error:
                    self._check()  # An embedded broker that is gone does not come back.
                    logger.warning("lost the broker %s, trying again: %s", masked(self._url), error)
                    time.sleep(RECONNECT_PAUSE)
            except SystemFailureError as error:
                self._give_up(error)

    def _receive(self) -> None:
        # By itself, so that no frame of a reply is kept while there is none.
        for key, sealed in self._wait_for_replies():
            self._take(key, sealed)

    def _wait_for_replies(self) -> Iterator[tuple[str, bytes]]:
        found: Any = self._receiving.blpop([self._replies, *self._direct.keys], timeout=LONGEST_WAIT)
        if found is not None:
            # The first by itself: somebody may be waiting for just this one, and looking for more takes as long again.
            yield found[0].decode(), found[1]
            more: Any = self._receiving.lpop(self._replies, REPLIES_AT_ONCE)
            yield from ((self._replies, sealed) for sealed in more or [])

    def _take(self, key: str, sealed: bytes) -> SentBatch | None:
        """Take in a reply that came by a list; the message that it answers, if that was waited for."""
        if not sealed:
            return None  # It wakes the receiver, and no more.
        received = time.time()
        try:
            reply = Reply.decode(self._keyring.open(Purpose.reply(key), sealed))
        except ForgedError as error:
            self._keyring.refusals.note("a reply", str(error), sealed)
            return None
        except DistributeChallengeError:
            logger.exception("a reply cannot be read")
            return None
        batch = self._books.sent.get(reply.batch)
        if batch is None:
            self._discard(reply)
            return None  # Answered before: the broker delivered the message twice.
        try:
            self._take_in(batch, reply, received)
        except Exception as error:
            # Signed, and nonsense. Whoever reads here has to read on, and the calls must not wait for ever.
            logger.exception("a reply cannot be taken in")
            self._fail(batch, SystemFailureError(f"the reply of {reply.worker} cannot be taken in: {error!r}"))
        return batch

    def _discard(self, reply: Reply) -> None:
        try:
            self._values.discard(reply)
        except Exception as error:
            self._keyring.refusals.note("a reply", f"it cannot be discarded: {type(error).__name__}", reply.batch)

    def _take_in(self, batch: SentBatch, reply: Reply, received: float) -> None:
        if reply.problem is not None:
            self._solve(batch, reply.problem)
            return
        outcomes = outcomes_of(reply, self._values.adopt)
        if batch.calls[0].task.chunk:
            self._take_chunk(batch, reply, batch.joined(reply, outcomes), received)
            return
        with self._work:
            if outcomes:
                batch.group.sizer.record(len(outcomes), reply.finishes[-1] - reply.started)
            if reply.kept is not None:
                batch.group.sizer.cut_short()
                self._books.put_back(batch.keep(reply.kept))
            if reply.ended:
                self._books.drop(batch)
                if returned := batch.calls[reply.first + len(reply.finishes) :]:
                    batch.group.sizer.cut_short()
                    self._books.put_back(returned)
        self._resolve(batch, reply, outcomes, received)

    def _fail(self, batch: SentBatch, error: SystemFailureError) -> None:
        with self._work:
            self._books.drop(batch)
        for call in batch.unfinished:
            call.fail(error)

    def _take_chunk(self, batch: SentBatch, reply: Reply, outcomes: list[Any], received: float) -> None:
        (call,) = batch.calls
        if reply.kept is not None and not batch.is_cut and not call.done():
            # Its own user of the values: the chunk's future lets them go now.
            self._values.retain(call.task.values)
            running = self._prepared(Call(call.task, self._take_back))
            with self._lock:
                batch.keep_running(running, done=len(outcomes), kept=reply.kept)
                running.batch, call.following = batch, (running, reply.kept - len(outcomes))
        elif not reply.ended:
            return
        else:
            with self._work:
                self._books.drop(batch)
        stages = call.task.created, batch.sent, reply.started, reply.finishes[-1], received, reply.worker
        if call.task.values:
            explain(call.task, outcomes)
        call.batch = None
        call.resolve(outcomes, stages)

    @staticmethod
    def _resolve(batch: SentBatch, reply: Reply, outcomes: list[Any], received: float) -> None:
        started = reply.started
        # Fewer calls than outcomes: some were given back, and another worker that got the message ran them as well.
        for call, outcome, finished in zip(batch.calls[reply.first :], outcomes, reply.finishes, strict=False):
            stages = call.task.created, batch.sent, started, finished, received, reply.worker
            if call.task.values:
                explain(call.task, outcome)
            if type(outcome) is Failure:
                call.fail(outcome.error, stages)
            else:
                call.resolve(outcome, stages)
            call.batch = None
            started = finished

    def _solve(self, batch: SentBatch, problem: Problem) -> None:
        """Do what a worker's problem asks for: send again, or fail."""
        if problem.kind == "function_missing":
            self._publisher.forget(batch.group.function)
            self._publisher.publish_in_the_end(batch, self._is_closing)
            return
        if problem.kind == "value_missing":
            self._values.provide_everywhere(problem.text.split(), partial(self._send_again, batch))
            return
        failed: list[tuple[Call, DistributeChallengeError]] = []
        with self._work:
            self._books.drop(batch)
            again = []
            for call in batch.unfinished:
                if problem.kind == "version":
                    failed.append((call, VersionMismatchError(problem.text)))
                elif error := verdict(call, problem, alone=len(batch.calls) == 1):
                    failed.append((call, error))
                else:
                    call.alone = True
                    again.append(call)
            self._books.put_back(again)
        for call, error in failed:
            call.fail(error)

    def _send_again(self, batch: SentBatch, error: SystemFailureError | None) -> None:
        """Send what is left of a batch, now that its values are to be had; or fail it, as they are not."""
        failed: list[tuple[Call, DistributeChallengeError]] = []
        with self._work:
            if batch.id not in self._books.sent:
                return  # Over meanwhile.
            self._books.drop(batch)
            again = []
            for call in batch.unfinished:
                if reason := error or verdict_on_missing(call, batch):
                    failed.append((call, reason))
                else:
                    again.append(call)
            self._books.put_back(again)
        for call, reason in failed:
            call.fail(reason)

    def _prepared(self, call: Call) -> Call:
        if call.task.values:
            call.add_done_callback(partial(self._values.release, call.task.values))
        return call

    def _is_closing(self) -> bool:
        return self._closing

    def _refuse_if_closed(self) -> None:
        if self._closing:
            raise self.broken or closed()

    # --- once in a while

    def _look_after(self, now: float) -> None:
        with self._lock:
            waiting = self._books.waiting()
        connection = self._receiving
        presence.show(connection, presence.ClientPresence(self.id, waiting.total()))
        if self._books.sent:
            connection.expire(self._replies, REPLY_EXPIRY)
        workers = presence.workers(connection)
        self._census.take(workers, waiting, now, partial(presence.strangers, connection))
        self._values.see(workers)
        with self._work:
            self._work.notify()  # More workers, more messages.

    def _give_up(self, error: SystemFailureError | None) -> None:
        """End: every call that is not done fails with the error, or is cancelled if there is none."""
        with self._work:
            self._closing = True
            self.broken = self.broken or error
            unsent, sent = self._books.clear()
        for call in unsent:
            if error is None:
                Future.cancel(call)  # Not `Call.cancel`: there is nothing left to take it back from.
            else:
                call.fail(error)
        for call in sent:
            call.fail(error or CallCancelledError(f"{call.name}: its backend was closed while it ran"))
