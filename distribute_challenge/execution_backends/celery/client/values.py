"""The large values of one client: where its workers can find them, and what happens when one does
not.

    arguments ──► depot ──► shared memory, if all workers see it; else what they all see: Redis, or a store of the user's
    results   ◄── adopt ◄── shared memory

Guarantees:

- ``_lock`` protects the choice of places, and whether the thread runs.
- The thread is there once there are large values. It alone copies for workers that missed one,
  renews and frees, all of which may take long: neither calls nor replies wait for it.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.guarded import text_of
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.core.outcome import Failure, add_note
from distribute_challenge.errors import (
    BrokerUnreachableError,
    StoreFullError,
    SystemFailureError,
    ValueLostError,
)
from distribute_challenge.execution_backends.celery.broker.connection import Broker, reconnect_pause
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.log import logger
from distribute_challenge.owned_folder import sweep
from distribute_challenge.serialisation import references_of
from distribute_challenge.stores import (
    Depot,
    FsspecStore,
    RedisStore,
    Reference,
    SharedMemoryStore,
    Store,
    shared_memory_identity,
)

__all__ = ["ClientValues", "explain"]

READ_ONLY_NOTE = "Large arguments are shared with other calls and cannot be written to; work on a copy, as in x = x.copy()"

LOOK_EVERY = 1.0  # Seconds between two looks at what is to be renewed or freed.


class ClientValues:
    """Keeps a client's large values, and takes in those that its workers made.

    Args:
        client: Id of the client.
        connection: To the broker, for this alone.
        own_machine: Whether all workers are known to share this machine's memory.

    Attributes:
        names: The places as texts, for the header of a batch.

    Raises:
        BackendError: A package for the store that the environment names is not installed.
        SystemFailureError: That store does not answer.
    """

    def __init__(self, client: str, connection: Broker, *, own_machine: bool) -> None:
        self._lock = threading.Lock()
        self._connection = connection
        url = settings.store_url()
        keyring = connection.keyring
        self._everywhere: Store = (
            RedisStore(connection, client, keyring)
            if url is None
            else FsspecStore(url, client, keyring)
        )
        self._folder = _shared_memory()
        self._depot = Depot(
            [self._everywhere] if self._folder is None else [self._folder, self._everywhere]
        )
        self.names = self._depot.names
        self._is_folder_missed = own_machine and settings.shared_folder() is None
        self._identity = (
            shared_memory_identity() if self._folder is not None and not own_machine else ""
        )
        self._is_chosen = not self._identity
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def depot(self, workers: Callable[[], Sequence[WorkerPresence]]) -> Depot:
        """Who keeps large values.

        Args:
            workers: Finds out who is there: with the first large value it is time to know which
                memory the workers see.
        """
        if not self._is_chosen:
            self.see(workers())
        if self._is_folder_missed:
            self._is_folder_missed = False
            logger.warning(
                "large values go through Redis, which takes longer: %s is not there, or cannot be "
                "written to; name a folder that "
                "is in memory in %s",
                settings.SHARED_MEMORY,
                settings.SHARED_FOLDER_VARIABLE,
            )
        self._start()
        return self._depot

    def see(self, workers: Sequence[WorkerPresence]) -> None:
        """From now on, put values where these workers find them."""
        with self._lock:
            self._is_chosen = True
            if self._folder is not None and self._identity:
                see = [worker.shared_memory == self._identity for worker in workers]
                memory: list[Store] = [self._folder] if any(see) else []
                others = [] if see and all(see) else [self._everywhere]
                self._depot.use([*memory, *others])

    def retain(self, values: tuple[str, ...]) -> None:
        """One more call needs them."""
        self._depot.retain(values)

    def release(self, values: tuple[str, ...], _: object = None) -> None:
        """A call is done that needed them."""
        self._depot.release(values)

    def provide_everywhere(
        self, keys: Sequence[str], done: Callable[[SystemFailureError | None], None]
    ) -> None:
        """A worker looked for values in vain: bring them to where every worker finds them.

        Args:
            keys: The values.
            done: Called when that is done, with the error if it could not be done.
        """
        self._start()
        self._jobs.put(lambda: done(self._provided(keys)))

    def adopt(self, reference: Reference) -> memoryview:
        """A part of a result that a worker put into shared memory: from now on it is the caller's
        own.

        Raises:
            ValueLostError: It is gone.
        """
        self._start()
        data = None if self._folder is None else self._folder.adopt(*reference)
        if data is None:
            raise ValueLostError(
                "a large result is gone from shared memory; make the call again", [reference.key]
            )
        return data

    def discard(self, reply: Reply) -> None:
        """Free what a reply refers to that nobody waits for."""
        if self._folder is not None:
            self._folder.delete(
                [part.key for section in reply.sections for part in references_of(section.blob)]
            )

    def close(self) -> None:
        """Free everything."""
        self._closing.set()
        self._jobs.put(lambda: None)  # Wakes the thread.
        if self._thread is not None:
            self._thread.join(2 * LOOK_EVERY)
        self._depot.close()
        self._connection.close()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="distribute_challenge values", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        looked = clock.monotonic()
        while not self._closing.is_set():
            with contextlib.suppress(Empty):
                self._jobs.get(timeout=LOOK_EVERY)()
            if clock.monotonic() - looked >= LOOK_EVERY:
                self._depot.renew()
                looked = clock.monotonic()
                self._depot.sweep(looked)

    def _provided(self, keys: Sequence[str]) -> SystemFailureError | None:
        while not self._closing.is_set():
            try:
                self._depot.provide_everywhere(keys)
                break
            except BrokerUnreachableError as error:
                logger.warning("cannot send large values, trying again: %s", error)
                self._closing.wait(reconnect_pause())
            except SystemFailureError as error:
                return error
        return None


def explain(task: Task, outcome: Any) -> None:
    """Tell somebody whose call wrote to a large argument what to do instead.

    Args:
        task: What ran.
        outcome: Its outcome; the outcomes, if it was a chunk.
    """
    for part in outcome if task.chunk else [outcome]:
        if (
            type(part) is Failure
            and isinstance(part.error, ValueError)
            and "read-only" in text_of(part.error)
        ):
            add_note(part.error, READ_ONLY_NOTE)


def _shared_memory() -> SharedMemoryStore | None:
    """This client's folder in shared memory, if there is any; those of dead clients go on the way."""
    root = settings.shared_folder()
    if root is None:
        return None
    sweep(root)
    try:
        return SharedMemoryStore(root)
    except StoreFullError as error:
        logger.warning("large values go another way, which takes longer: %s", error)
        return None
