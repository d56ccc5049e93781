"""The large values of one client: chooses their stores, and copies values that a worker missed.

    arguments ──► depot ──► shared memory, if all workers see it; else a store that they
                            all see: Redis, or one that the user has named
    results   ◄── adopt ◄── shared memory

Guarantees:

- ``_lock`` protects the choice of stores, and whether the thread runs.
- The thread starts with the first large value. It alone copies values that workers missed, renews
  and frees values, all of which may take long: neither calls nor replies wait for it.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.guarded import text_of
from distribute_challenge.core.messages import Reply, Task
from distribute_challenge.core.outcome import Failure, add_note
from distribute_challenge.core.section import Section
from distribute_challenge.core.unopened import Unopened
from distribute_challenge.errors import (
    BrokerUnreachableError,
    StoreFullError,
    SystemFailureError,
    ValueLostError,
)
from distribute_challenge.execution_backends.celery.broker.connection import Broker, reconnect_pause
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.client.kept_result import KeptResult
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

READ_ONLY_NOTE = (
    "Large arguments are shared with other calls and cannot be written to; "
    "work on a copy, as in x = x.copy()"
)

LOOK_EVERY = 1.0  # Seconds between two times that values are renewed and freed.


class ClientValues:
    """Stores one client's large arguments, and takes over large results that its workers stored.

    Args:
        client: Id of the client.
        connection: A connection to the broker that nothing else uses.
        own_machine: Whether all workers are known to share this machine's memory.

    Attributes:
        names: The stores as texts, for the header of a batch.

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
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._depot = Depot(
            [self._everywhere] if self._folder is None else [self._folder, self._everywhere],
            self._free_results,
        )
        self._kept: weakref.WeakSet[KeptResult] = weakref.WeakSet()
        self.names = self._depot.names
        self._is_folder_missed = own_machine and settings.shared_folder() is None
        self._identity = (
            shared_memory_identity() if self._folder is not None and not own_machine else ""
        )
        self._is_chosen = not self._identity
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def depot(self, workers: Callable[[], Sequence[WorkerPresence]]) -> Depot:
        """Return the depot, which stores large values.

        Args:
            workers: Finds the workers that are present. It is called with the first large value,
                to learn whether the workers see this machine's shared memory.
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
        """Put new values into stores that these workers can read."""
        with self._lock:
            self._is_chosen = True
            if self._folder is not None and self._identity:
                see = [worker.shared_memory == self._identity for worker in workers]
                memory: list[Store] = [self._folder] if any(see) else []
                others = [] if see and all(see) else [self._everywhere]
                self._depot.use([*memory, *others])

    def retain(self, values: tuple[str, ...]) -> None:
        """Count one more call that needs the values."""
        self._depot.retain(values)

    def release(self, values: tuple[str, ...], _: object = None) -> None:
        """Count one call less, as it is done."""
        self._depot.release(values)

    def provide_everywhere(
        self, keys: Sequence[str], done: Callable[[SystemFailureError | None], None]
    ) -> None:
        """Copy values that a worker did not find to a store that every worker can read.

        Args:
            keys: Keys of the values.
            done: Called at the end; its argument is the error, or None if all were copied.
        """
        self._start()
        self._jobs.put(lambda: done(self._provided(keys)))

    def adopt(self, reference: Reference) -> memoryview:
        """Take over a part of a result that a worker put into shared memory.

        Returns:
            The part, which belongs to the caller from now on.

        Raises:
            ValueLostError: The part is gone.
        """
        self._start()
        data = None if self._folder is None else self._folder.adopt(*reference)
        if data is None:
            raise ValueLostError(
                "a large result is gone from where its worker put it; make the call again",
                [reference.key],
            )
        return data

    def keep(self, section: Section) -> Unopened:
        """Keep a result as its worker packed it, until a caller asks for it.

        Args:
            section: The section of the reply that has the result.
        """
        result = KeptResult(section, self._depot)
        self._start()
        with self._lock:
            self._kept.add(result)
        return result.unopened()

    def discard(self, reply: Reply) -> None:
        """Free the values that a reply refers to, as no call waits for the reply."""
        if self._folder is not None:
            self._folder.delete(
                [
                    part.key
                    for section in reply.sections
                    for part in references_of(section.blob)
                    # The same reply may have come before.
                    if not self._depot.knows(part.key)
                ]
            )

    def close(self) -> None:
        """Free all values, and close the connection.

        Callers can still ask for results in shared memory.
        """
        self._closing.set()
        self._jobs.put(lambda: None)  # Wakes the thread.
        if self._thread is not None:
            self._thread.join(2 * LOOK_EVERY)
        if self._folder is not None:
            with self._lock:
                kept = list(self._kept)
            for result in kept:
                result.map_from(self._folder)
        self._depot.close()
        self._connection.close()

    def _free_results(self) -> None:
        self._jobs.put(self._depot.free_results)

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
    """Add a note to the error of a call that wrote to a large argument: what to do instead.

    Args:
        task: The task that ran.
        outcome: Its outcome; a list of outcomes if the task is a chunk.
    """
    for part in outcome if task.chunk else [outcome]:
        if (
            type(part) is Failure
            and isinstance(part.error, ValueError)
            and "read-only" in text_of(part.error)
        ):
            add_note(part.error, READ_ONLY_NOTE)


def _shared_memory() -> SharedMemoryStore | None:
    """Make this client's folder in shared memory, and remove the folders of dead clients.

    Returns:
        The folder as a store; None if there is no shared memory, or no room in it.
    """
    root = settings.shared_folder()
    if root is None:
        return None
    sweep(root)
    try:
        return SharedMemoryStore(root)
    except StoreFullError as error:
        logger.warning("large values go another way, which takes longer: %s", error)
        return None
