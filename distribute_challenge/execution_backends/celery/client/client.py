"""One client of a cluster: two threads and a few connections, however many calls are on their way.

    submit ──> outbox ──> sender thread ──> publisher ──> queue in Redis ──────────> worker
    send_now ─────────────────────────────────^ (the caller's own thread)              │
    futures <── receiver <── receiver thread <── this client's reply list <────────────┤
    result() of a `DirectCall` <── receiver <── a list of its own <────────────────────┤
    sys.stdout, logging <── log printer's thread <── receiver <── either of these <────┘

Once a second the receiver thread also shows that the client lives (heartbeat), finds messages that
have vanished (lost messages), and fails calls that wait too long (queue timeouts). Recovery sends
the calls of a lost message again, or fails them.

Guarantees:

- `PendingCalls` is its own lock. Nothing waits for Redis, and no future is resolved, under it.
- A call is in the outbox or in exactly one `SentBatch`, until its future is done.
- If one of the threads ends by an unforeseen error, every future fails with it.
- The receiver thread resolves the futures of calls that were sent, or a caller that waits at a
  direct connection does so for its own call. A list has one reader at a time.
- The large values of a task are kept until its call is done, however it ends.
"""

import threading
import time
import uuid
from collections.abc import Callable
from contextvars import copy_context
from functools import partial

import redis

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import BrokerUnreachableError, SystemFailureError
from distribute_challenge.execution_backends.base import closed
from distribute_challenge.execution_backends.celery.broker.absence import Absence
from distribute_challenge.execution_backends.celery.broker.connection import (
    check_reachable,
    connect,
    reconnect_pause,
    translated,
)
from distribute_challenge.execution_backends.celery.broker.keys import replies_key
from distribute_challenge.execution_backends.celery.client.activity import Activity
from distribute_challenge.execution_backends.celery.client.call_logs import CallLogs, is_notebook
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.cancellation import (
    Cancellation,
    farewell,
    in_background,
)
from distribute_challenge.execution_backends.celery.client.complaints import Complaints
from distribute_challenge.execution_backends.celery.client.direct import (
    DirectCall,
    DirectConnections,
)
from distribute_challenge.execution_backends.celery.client.heartbeat import Heartbeat
from distribute_challenge.execution_backends.celery.client.log_printer import LogPrinter
from distribute_challenge.execution_backends.celery.client.lost_messages import (
    AFTER_LOSS,
    LostMessages,
)
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls
from distribute_challenge.execution_backends.celery.client.publisher import Publisher
from distribute_challenge.execution_backends.celery.client.queue_timeouts import QueueTimeouts
from distribute_challenge.execution_backends.celery.client.receiver import Receiver
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.client.sender import Sender
from distribute_challenge.execution_backends.celery.client.session import Session
from distribute_challenge.execution_backends.celery.client.strands import Strands
from distribute_challenge.execution_backends.celery.client.values import ClientValues
from distribute_challenge.execution_backends.celery.client.worker_counts import WorkerCounts
from distribute_challenge.log import logger
from distribute_challenge.settings import masked
from distribute_challenge.stores import Depot

__all__ = ["Client"]

# Seconds for all that a client does when it is closed, so that Ctrl+C ends a program soon.
CLOSE_WITHIN = 1.5
WARN_EVERY = 10.0  # Seconds between two lines in the log while the broker is away.
LONGEST_WAIT = 1.0  # Seconds that the receiver waits for a reply before its other tasks.
ANSWER_WITHIN = 5.0  # Seconds after that in which Redis must answer that there is no reply.


class Client:
    """Sends calls to a cluster and receives their outcomes; `CeleryExecutionBackend` makes it.

    Args:
        url: The broker.
        check: Called about once a second; if it raises an error, all calls fail (the embedded
            cluster died, say).
        slots: Number of child processes, if the caller knows it.
        own_machine: Whether all workers are known to share this machine's memory.
        shows_logs: Whether this process shows what calls print and log.

    Attributes:
        id: The client's id.
        broken: The error that has ended the client; None while it works.
        own_machine: As given.

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
        shows_logs: bool = False,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.broken: SystemFailureError | None = None
        self.own_machine = own_machine
        self._url = url
        self._check = check or (lambda: None)
        self._pending = PendingCalls(self.id)
        self._counts = WorkerCounts(url, slots)
        self._in_notebook = shows_logs and is_notebook()
        self._take_back = self.withdraw  # One bound method for all calls, as there may be many.
        try:
            check_reachable(url)
        except BrokerUnreachableError:
            self._check()  # If an embedded cluster has died, this raises the better error.
            raise
        receiving = connect(url, answer_within=LONGEST_WAIT + ANSWER_WITHIN)
        self._keyring = keyring = receiving.keyring
        self._session = session = Session(self.id, receiving, replies_key(self.id))
        self._values = ClientValues(self.id, connect(url, keyring=keyring), own_machine=own_machine)
        self._publisher = Publisher(
            url, keyring, self.id, session.replies, self._values.names, shows_logs=shows_logs
        )
        self._printer = LogPrinter()
        activity = Activity(sender=self)
        self._recovery = Recovery(self._pending, self._publisher, self._values, activity)
        self._queue_timeouts = QueueTimeouts(self._pending, self._publisher, self._counts)
        self._absence = Absence(url)
        complaints = Complaints()
        self._lost_messages = LostMessages(session.replies)
        self._receiver = Receiver(
            session=session,
            pending=self._pending,
            recovery=self._recovery,
            values=self._values,
            lost_messages=self._lost_messages,
            logs=CallLogs(self._printer),
            complaints=complaints,
            new_call=self._new_call,
            activity=activity,
        )
        self._cancellation = Cancellation(
            url, keyring, self._fetch_back, lambda batch: batch.id in self._pending.sent
        )
        self._direct = DirectConnections(
            url, session.replies, take=self._receiver.deliver, wake=self._publisher.wake_receiver
        )
        self._heartbeat = Heartbeat(
            session=session,
            pending=self._pending,
            counts=self._counts,
            values=self._values,
            lost_messages=self._lost_messages,
            recovery=self._recovery,
            direct=self._direct,
            activity=activity,
        )
        sender = Sender(
            pending=self._pending,
            counts=self._counts,
            strands=Strands(pending=self._pending, sender=self, new_call=self._new_call),
            publisher=self._publisher,
            recovery=self._recovery,
            complaints=complaints,
        )
        self._sender_thread = self._thread(sender.run, "sender")
        self._receiver_thread = self._thread(self._receive_forever, "receiver")
        self._sender_thread.start()
        self._receiver_thread.start()

    # --- what the backend asks for

    def submit(self, task: Task) -> Call:
        """Queue a call, which the sender thread sends together with others.

        Args:
            task: The task to run.
        """
        call = self._new_call(task)
        with self._pending:
            self._refuse_if_closed()
            self._pending.put(call)
            if task.options.queue_timeout is not None:
                self._queue_timeouts.watch(call)
        return call

    def send_now(self, task: Task) -> Call:
        """Send a call at once, in a message of its own, from this thread.

        Args:
            task: The task to run.

        Raises:
            BrokerFullError: The broker has no memory left.
            BrokerUnreachableError: The broker went away.
        """
        call = self._prepared(DirectCall(task, self._take_back))
        try:
            with self._pending:
                self._refuse_if_closed()
                batch = self._pending.register(self._pending.outbox.group_of(task), [call], slots=1)
                if task.options.queue_timeout is not None:
                    self._queue_timeouts.watch(call)
            try:
                with translated(self._url), self._direct.borrowed() as direct:
                    self._publisher.publish(batch, direct)
            except SystemFailureError as error:
                self._recovery.fail(batch, error)  # Also releases the call's large values.
                raise
        except KeyboardInterrupt:
            self._abandon(call)
            raise
        return call

    def _abandon(self, call: Call) -> None:
        """Cancel a call whose caller was interrupted while sending it.

        A message that has not been sent gets no reply, so it is dropped at once.
        """
        batch = call.batch
        if batch is not None and batch.message is None:
            with self._pending:
                self._pending.drop(batch)
        call.cancel(force=True)

    def withdraw(self, call: Call, *, force: bool = False) -> bool:
        """Take a call back.

        Args:
            call: The call.
            force: The call is cancelled already: have another thread stop it, wherever it is.

        Returns:
            True if the call will not give a result: no worker has it or will have it, or ``force``
                is set.
        """
        with self._pending:
            batch = call.batch
            if batch is None:
                return self._pending.outbox.remove(call) or force
        return self._cancellation.stop(batch) if force else self._fetch_back(batch, without=call)

    def _fetch_back(self, batch: SentBatch, without: Call | None = None) -> bool:
        message = batch.message
        if message is None or not self._publisher.take_back(message):
            return False
        with self._pending:
            self._pending.drop(batch)
            self._pending.put_back([other for other in batch.unfinished if other is not without])
        return True

    def depot(self) -> Depot:
        """Return the depot, which stores large values for this client.

        Raises:
            BrokerUnreachableError: The depot must know which workers are present, and the broker
                does not answer.
        """
        with translated(self._url):
            return self._values.depot(self._publisher.workers)

    def slots(self) -> int:
        """Count the child processes of the whole cluster, as far as is known."""
        return self._counts.slots()

    def unfinished(self) -> int:
        """Count the unfinished calls, as `ExecutionBackend.unfinished` does."""
        with self._pending:
            return sum(not call.task.chunk and not call.done() for call in self._pending.calls())

    def close(self) -> None:
        """Stop, and cancel all unfinished calls, even those that run.

        Takes no longer than `CLOSE_WITHIN` seconds, whatever Redis does.

        Lines that calls have printed until then are still shown, however slow the output is.
        """
        deadline = clock.monotonic() + CLOSE_WITHIN
        with self._pending:
            self._pending.is_closing = True
            self._pending.notify()
        # A message that the sender is sending must be in the queue before `farewell` searches it.
        self._sender_thread.join(CLOSE_WITHIN / 2)
        with self._pending:
            messages = [
                batch.message for batch in self._pending.sent.values() if batch.message is not None
            ]
        leaving = farewell(
            self._url, self._keyring, self.id, messages, self._direct.lists(), self._receiver_thread
        )
        values = in_background(self._values.close)
        self._give_up(None)
        for thread in filter(None, (leaving, values, self._sender_thread, self._receiver_thread)):
            thread.join(max(0.0, deadline - clock.monotonic()))
        self._cancellation.close()
        self._direct.close()
        self._publisher.close()
        self._session.connection.close()
        self._printer.close()

    def _thread(self, forever: Callable[[], None], name: str) -> threading.Thread:
        return threading.Thread(
            target=self._run, args=[forever], name=f"distribute_challenge {name}", daemon=True
        )

    def _run(self, forever: Callable[[], None]) -> None:
        """Run the loop of one thread; if it raises, fail all calls."""
        try:
            forever()
        except BaseException as error:
            logger.exception("a client's thread has failed, and so do its calls")
            failure = SystemFailureError(
                f"the client that sent the call has failed: {type(error).__name__}: {error}"
            )
            failure.__cause__ = error
            self._give_up(failure)

    # --- the receiver thread

    def _receive_forever(self) -> None:
        looked_after = silent_until = 0.0
        while not self._pending.is_closing:
            try:
                try:
                    self._receiver.receive(
                        self._direct.keys, self._queue_timeouts.wait(LONGEST_WAIT)
                    )
                    now = clock.monotonic()
                    self._queue_timeouts.look(self._session.connection)
                    if now - looked_after > LONGEST_WAIT:
                        looked_after = now
                        self._check()
                        self._heartbeat.beat(now)
                        self._direct.look_after()
                    self._absence.end()
                except (redis.RedisError, OSError) as error:
                    self._check()  # An embedded broker that is gone does not come back.
                    if (failure := self._absence.note(error)) is not None:
                        # Later calls fail with it, too, until Redis answers.
                        self._fail_all(failure)
                    if clock.monotonic() > silent_until:
                        silent_until = clock.monotonic() + WARN_EVERY
                        logger.warning(
                            "lost the broker %s, trying again: %s", masked(self._url), error
                        )
                    time.sleep(reconnect_pause())
                    self._heartbeat.distrust(clock.monotonic() + AFTER_LOSS)
            except SystemFailureError as error:
                self._give_up(error)

    def _new_call(self, task: Task) -> Call:
        return self._prepared(Call(task, self._take_back))

    def _prepared(self, call: Call) -> Call:
        if self._in_notebook:
            call.context = copy_context()
        if call.task.values:
            call.when_done(partial(self._values.release, call.task.values))
        return call

    def _refuse_if_closed(self) -> None:
        if self._pending.is_closing:
            raise self.broken or closed()

    def _give_up(self, error: SystemFailureError | None) -> None:
        """Close the client: fail all unfinished calls, or cancel them if there is no error."""
        with self._pending:
            self._pending.is_closing = True
            self.broken = self.broken or error
        self._fail_all(error)

    def _fail_all(self, error: SystemFailureError | None) -> None:
        """Fail all unfinished calls with the error, or cancel them if there is none."""
        with self._pending:
            unsent, sent = self._pending.clear()
        for call in (*unsent, *sent):
            if error is None:
                # Not `Call.cancel`: `farewell` takes all messages back at once.
                Future.cancel(call)
            else:
                call.fail(error)
