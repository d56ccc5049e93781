"""The client's end of detached calls: submits them, and looks for their outcomes.

Workers keep the outcomes in Redis and send them to no client's list, as any program may ask for
them. A program that waits for an outcome looks for it regularly. That needs nothing of `Client`,
and several programs may do so at the same time.
"""

import functools
import re
import threading
import uuid
import weakref
from collections import Counter

import redis

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.condition import Condition
from distribute_challenge.core.messages import Batch, Task
from distribute_challenge.errors import ResultUnavailableError, SystemFailureError
from distribute_challenge.execution_backends.base import closed
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.absence import Absence
from distribute_challenge.execution_backends.celery.broker.commands import CancelCommand
from distribute_challenge.execution_backends.celery.broker.connection import (
    Broker,
    check_reachable,
    connect,
    translated,
)
from distribute_challenge.execution_backends.celery.broker.detached import (
    LONGEST_IN_QUEUE,
    DetachedRecords,
)
from distribute_challenge.execution_backends.celery.broker.keys import outcome_key
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.client.cancellation import (
    AGAIN,
    TRIED_FOR,
    in_background,
    publish,
)
from distribute_challenge.execution_backends.celery.client.detached_arguments import (
    check_function,
    put_arguments,
)
from distribute_challenge.execution_backends.celery.client.detached_future import DetachedFuture
from distribute_challenge.execution_backends.celery.client.worker_counts import WorkerCounts
from distribute_challenge.execution_backends.loss_report import detached_is_late, detached_is_lost
from distribute_challenge.execution_backends.policy import allowed_attempts
from distribute_challenge.log import logger
from distribute_challenge.settings import masked

__all__ = ["DetachedCalls"]

SHORTEST_PAUSE = 0.25  # Seconds between two looks for outcomes, at first,
LONGEST_PAUSE = 1.0  # and when nothing has come for a while.
LOOK_EVERY = 2.0  # Seconds between two looks for messages that are lost,
LOOK_FOR = 0.05  # and how long one look takes at most: Redis searches the queue for each message.

_ID = re.compile(r"[0-9a-f]{32}")


class DetachedCalls:
    """The detached calls that one backend submits and waits for.

    Guarantees:

    - Any thread may call. ``_changed`` protects the set of watched futures, and whether the thread
      runs.
    - The thread runs while the program has unfinished futures. An error of one call does not
      affect the others.

    Args:
        url: The broker.

    Raises:
        BrokerUnreachableError: The broker does not answer.
    """

    def __init__(self, url: str) -> None:
        check_reachable(url)
        self._url = url
        self._connection = connect(url)
        self._keyring = self._connection.keyring
        self._records = DetachedRecords(self._connection)
        self._counts = WorkerCounts(url, None)
        self._absence = Absence(url)
        self._changed = Condition()
        self._watched: weakref.WeakSet[DetachedFuture] = weakref.WeakSet()
        self._needed: set[DetachedFuture] = set()
        self._pause = SHORTEST_PAUSE
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, task: Task, time_to_live: float) -> DetachedFuture:
        """Send a call that goes on when this client is gone.

        Args:
            task: The task to run; none of its values lies in a depot.
            time_to_live: Seconds that its outcome is kept.

        Raises:
            BrokerUnreachableError: The broker does not take it.
            StoreFullError: Its function is too large, or Redis has no room for its arguments.
        """
        self._refuse_if_closed()
        check_function(task)
        options, function, call = task.options, task.function, uuid.uuid4().hex
        arguments = put_arguments(task, call, self._connection)
        # After that: a large argument takes its time, and the call has until then to begin.
        now, lifetime = self._connection.clock.now(), options.queue_timeout or LONGEST_IN_QUEUE
        reply_to = outcome_key(call)
        batch = Batch(
            id=call,
            function=function.digest,
            name=function.name,
            arguments=[arguments.data],
            places=arguments.places,
            timeout=options.timeout,
            retries=options.retries,
            reply_to=reply_to,
            issued=now,
            lifetime=lifetime,
            keep=time_to_live,
            at_most_once=options.at_most_once,
        )
        message = message_for(
            batch, queue=options.queue, priority=options.priority, keyring=self._keyring
        )
        attempts = allowed_attempts(options, settings.attempts())
        with translated(self._url):
            self._records.add(
                call,
                message,
                function,
                arguments.keys,
                keep=time_to_live,
                attempts=attempts,
                until=now + lifetime,
            )
        return self._watching(DetachedFuture(call, function.name, self._needed, task.created, now))

    def attach(self, id: str) -> DetachedFuture:  # noqa: A002
        """Return the future of a call that this client or another one has submitted.

        Args:
            id: The call's id.

        Raises:
            BrokerUnreachableError: The broker does not answer.
        """
        self._refuse_if_closed()
        future = DetachedFuture(id, f"the call {id}", self._needed)
        if not _ID.fullmatch(id):
            future.take(None, self._keyring)
            return future
        with translated(self._url):
            if self._records.over([id]):
                future.take(self._records.outcome(id), self._keyring)
                return future
        return self._watching(future)

    def close(self) -> None:
        """Stop waiting, and fail the futures; the calls go on."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(2 * LONGEST_PAUSE)
        for future in self._unfinished():
            future.fail(
                ResultUnavailableError(
                    f"the backend was closed that waited for {future.name}; the call goes on: "
                    f"attach({future.id!r}) gives its result"
                )
            )
        self._connection.close()

    # --- watching

    def _watching(self, future: DetachedFuture) -> DetachedFuture:
        future.withdraw_with(functools.partial(self._take_back, future.id))
        future.stop_with(functools.partial(self._stop, future.id))
        future.running_with(functools.partial(self._is_running, future.id))
        with self._changed:
            self._watched.add(future)
            self._pause = SHORTEST_PAUSE
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="distribute_challenge detached", daemon=True
                )
                self._thread.start()
        return future

    def _watch(self) -> None:
        looked = clock.monotonic()
        while self._is_needed():
            try:
                self._look_for_outcomes()
                if clock.monotonic() - looked >= LOOK_EVERY:
                    looked = clock.monotonic()
                    self._look_for_lost(looked + LOOK_FOR)
                self._absence.end()
            except (redis.RedisError, OSError) as error:
                logger.warning(
                    "cannot look for detached calls at %s, trying again: %s",
                    masked(self._url),
                    error,
                )
                if (failure := self._absence.note(error)) is not None:
                    self._fail_all(failure)

    def _is_needed(self) -> bool:
        """Wait until the next look is due.

        Returns:
            False if no future is unfinished, or this object is closed: the thread ends then.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closing, self._pause)
            if self._closing or all(future.done() for future in self._watched):
                self._thread = None
                return False
            self._pause = min(1.5 * self._pause, LONGEST_PAUSE)
            return True

    def _unfinished(self) -> list[DetachedFuture]:
        with self._changed:
            unfinished = [future for future in self._watched if not future.done()]
            self._watched = weakref.WeakSet(unfinished)
            return unfinished

    def _look_for_outcomes(self) -> None:
        waiting: dict[str, list[DetachedFuture]] = {}
        for future in self._unfinished():
            waiting.setdefault(future.id, []).append(future)
        for name in self._records.over(waiting):
            outcome = self._records.outcome(name)
            for future in waiting[name]:
                future.take(outcome, self._keyring)
            self._pause = SHORTEST_PAUSE

    def _look_for_lost(self, until: float) -> None:
        waiting: Counter[str] = Counter()
        # First the calls whose message was missing last time, then those looked for longest ago.
        for future in sorted(
            self._unfinished(), key=lambda future: (not future.suspect, future.looked)
        ):
            future.looked = clock.monotonic()
            state, _, queue = self._records.look(future.id)
            future.suspect = state == "missing"
            waiting[queue] += state == "waiting"
            if state == "again":
                logger.warning(
                    "the message of %s (%s) was lost, and is sent again", future.name, future.id
                )
            elif state == "lost":
                future.fail(detached_is_lost(future.name))
            elif state == "late":
                future.fail(detached_is_late(future.name))
            if clock.monotonic() > until:
                break
        self._counts.take(presence.workers(self._connection), waiting, clock.monotonic())

    def _fail_all(self, error: SystemFailureError) -> None:
        for future in self._unfinished():
            future.fail(
                type(error)(
                    f"{error}. The detached call goes on once Redis is back: attach({future.id!r}) "
                    f"gives its result"
                )
            )

    def _take_back(self, id: str) -> bool:  # noqa: A002
        try:
            return self._records.take_back(id)
        except redis.RedisError:
            return False

    def _is_running(self, id: str) -> bool:  # noqa: A002
        try:
            return self._records.is_held(id)
        except redis.RedisError:
            return False

    def _stop(self, id: str) -> None:  # noqa: A002
        """Tell the workers to stop a call.

        A thread repeats the command in the background, as a worker may be connecting just now.
        """
        if not self._tell_to_stop(id, self._connection):
            in_background(functools.partial(self._repeat_cancel, id))

    def _repeat_cancel(self, id: str) -> None:  # noqa: A002
        until = clock.monotonic() + TRIED_FOR
        # A connection of its own, as `close` may close the other one meanwhile.
        with connect(self._url, keyring=self._keyring) as connection:
            while clock.monotonic() < until:
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, AGAIN):
                        return
                if self._tell_to_stop(id, connection):
                    return

    @staticmethod
    def _tell_to_stop(id: str, connection: Broker) -> bool:  # noqa: A002
        """Send the command once; True if the call has ended, so that there is nothing to stop."""
        try:
            if DetachedRecords(connection).over([id]):
                return True
            publish(connection, CancelCommand({id: None}))
        except redis.RedisError as error:
            logger.warning(
                "cannot tell workers that the detached call %s was cancelled: %s", id, error
            )
        return False

    def _refuse_if_closed(self) -> None:
        if self._closing:
            raise closed()
