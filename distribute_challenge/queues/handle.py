"""`QueueHandle`: how a `Queue` object reaches its queue, also in the process that unpickles it."""

from functools import cache
from weakref import WeakValueDictionary

from distribute_challenge.errors import BackendError
from distribute_challenge.execution.run import inside_call
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.worker_cluster import worker_cluster
from distribute_challenge.execution_backends.item_queue import (
    QUEUES_NEED_CLUSTER,
    ItemQueue,
    queue_name,
)
from distribute_challenge.execution_backends.registry import Choice, resolve

__all__ = ["QueueHandle", "engine_of"]

_opened: WeakValueDictionary[str, ItemQueue] = WeakValueDictionary()
_engines: WeakValueDictionary[str, ExecutionBackend] = WeakValueDictionary()


class QueueHandle:
    """A queue by its id, which is opened when it is first used.

    Args:
        id: The queue's id.
        is_local: Whether it lies in the memory of the process that made it.

    Attributes:
        id, is_local: As given.
    """

    def __init__(self, id: str, *, is_local: bool = False) -> None:  # noqa: A002
        self.id = id
        self.is_local = is_local
        self._engine: ExecutionBackend | None = None
        self._shared: ItemQueue | None = None

    def open(self, engine: ExecutionBackend, maxsize: int, lease: float | None) -> None:
        """Open the queue on an engine; the arguments are those of `ExecutionBackend.open_queue`."""
        own = queue_name(self.id) is None
        self._set(engine, engine.open_queue(self.id, maxsize, lease, own=own))

    def engine(self) -> ExecutionBackend:
        """Return the engine that has the queue.

        Raises:
            BackendError: As for `queue`.
        """
        self.queue()
        assert self._engine is not None
        return self._engine

    def queue(self) -> ItemQueue:
        """Return the queue as its engine knows it; it is opened if this process has not done so.

        Raises:
            BackendError: The backend of this process has no queues, or the queue lies in the memory
                of another process.
            SystemFailureError: The broker does not answer.
        """
        if self._shared is not None:
            return self._shared
        # This object has come out of a pickle, and is used for the first time.
        shared, engine = _opened.get(self.id), _engines.get(self.id)
        if shared is not None and engine is not None and not shared.is_closed:
            return self._set(engine, shared)
        engine = engine_of(None)
        return self._set(engine, self._found(engine))

    def _found(self, engine: ExecutionBackend) -> ItemQueue:
        name = queue_name(self.id)
        if self.is_local:
            raise BackendError(
                f"the queue {name or 'without a name'} lies in the memory of another process: give "
                f"it to calls on the backend 'threads' alone, or make it with the backend "
                f"'celery', in Redis"
            )
        if name is None:
            return engine.attach_queue(self.id)
        shared = engine.open_queue(self.id, 0, None, own=False)
        if shared.is_local:
            raise BackendError(QUEUES_NEED_CLUSTER)
        return shared

    def _set(self, engine: ExecutionBackend, shared: ItemQueue) -> ItemQueue:
        self._engine, self._shared = engine, shared
        self.is_local = shared.is_local
        _opened[self.id] = shared
        _engines[self.id] = engine
        return shared


def engine_of(backend: Choice) -> ExecutionBackend:
    """Return the engine for a queue: inside a call on a worker, that of the worker's cluster."""
    url = worker_cluster() if inside_call() else None
    return resolve(backend) if url is None else _of_worker(url)


@cache
def _of_worker(url: str) -> ExecutionBackend:
    return CeleryExecutionBackend(url)
