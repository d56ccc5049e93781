"""`CeleryExecutionBackend`: the interface of `ExecutionBackend` on top of a `Client`."""

import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from distribute_challenge import settings
from distribute_challenge.cluster import EmbeddedCluster
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import BackendError, OptionError
from distribute_challenge.execution_backends.base import DETACHED_NEEDS_CLUSTER, ExecutionBackend
from distribute_challenge.execution_backends.item_queue import ItemQueue
from distribute_challenge.execution_backends.policy import OPTIONS
from distribute_challenge.settings import masked
from distribute_challenge.stores import Depot

if TYPE_CHECKING:
    from distribute_challenge.execution_backends.celery.client.client import Client
    from distribute_challenge.execution_backends.celery.client.detached_calls import DetachedCalls
    from distribute_challenge.execution_backends.celery.client.queues import ClientQueues

__all__ = ["CeleryExecutionBackend"]

_all: "WeakSet[CeleryExecutionBackend]" = WeakSet()


class CeleryExecutionBackend(ExecutionBackend):
    """Runs calls on Celery workers.

    It connects when it is first used.

    Args:
        broker_url: ``redis://``, ``rediss://`` or ``redis+socket://`` address of the cluster; None:
            the address from the environment. If that has none, the backend starts an embedded
            cluster on this machine, which ends with the backend.
        cluster: A running embedded cluster to use instead of starting one.
        local: Use an embedded cluster, whatever the environment says.
        workers: With ``local``, number of its worker processes; None: as the environment says, or
            one for each core.
        logs: Whether this process shows what its calls print and log on the workers (see
            docs/logs.md). None: as ``DISTRIBUTE_CHALLENGE_LOGS`` says; if that is not set, only
            with an embedded cluster.

    Raises:
        OptionError: ``local`` is given together with a broker or a cluster, or ``workers`` without
            ``local``.

    Guarantees:

    - There is one `Client` at a time, made under ``_lock``. If its cluster died, the next call
      makes a new client.
    - After a fork, the child makes a client of its own: the threads of the parent's client do not
      exist in the child.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> with CeleryExecutionBackend() as backend:
        ...     compute_this(lambda x: x * x)(3).compute(backend=backend)
        9
    """

    honours = OPTIONS

    def __init__(
        self,
        broker_url: str | None = None,
        *,
        cluster: EmbeddedCluster | None = None,
        local: bool = False,
        workers: int | None = None,
        logs: bool | None = None,
    ) -> None:
        if local and (broker_url is not None or cluster is not None):
            raise OptionError(
                "local=True means an embedded cluster of this backend's own: leave out broker_url "
                "and cluster"
            )
        if workers is not None and not local:
            raise OptionError(
                f"workers={workers} is the size of an embedded cluster of this backend's own: give "
                f"local=True, too"
            )
        self._local = local
        self._workers = workers
        self._logs = logs
        self._url = broker_url
        self._given = cluster
        self._own: EmbeddedCluster | None = None
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._detached: DetachedCalls | None = None
        self._queues: ClientQueues | None = None
        _all.add(self)

    @property
    def concurrency(self) -> int:  # type: ignore[override] # known only once connected
        return self._connected().slots()

    @property
    def shares_files(self) -> bool:  # type: ignore[override] # known only once connected
        client = self._client
        if client is None:
            return self._given is not None or (self._url or settings.broker_url()) is None
        return client.own_machine

    @property
    def sender(self) -> "Client | None":
        return self._client

    def submit(self, task: Task) -> Future[Any]:
        return self._connected().submit(task)

    def submit_now(self, task: Task) -> Future[Any]:
        return self._connected().send_now(task)

    def submit_detached(self, task: Task, time_to_live: float) -> Future[Any]:
        return self._detached_calls().submit(task, time_to_live)

    def attach(self, id: str) -> Future[Any]:  # noqa: A002 - as it is called everywhere
        return self._detached_calls().attach(id)

    def open_queue(self, id: str, maxsize: int, lease: float | None, *, own: bool) -> ItemQueue:  # noqa: A002
        return self._client_queues().open(id, maxsize, lease, own=own)

    def attach_queue(self, id: str) -> ItemQueue:  # noqa: A002
        return self._client_queues().attach(id)

    def depot(self) -> Depot:
        return self._connected().depot()

    def facts(self) -> str:
        url, cluster = self._broker_url(), self._given or self._own
        if cluster is not None:
            return ", ".join(cluster.facts()[:3])
        if url is None:
            return "an embedded cluster, not started"
        return f"{masked(url)}, {'not ' if self._client is None else ''}connected"

    def sized(self, workers: int) -> ExecutionBackend | None:
        if self._given is not None or self._broker_url() is not None:
            return None
        return CeleryExecutionBackend(local=True, workers=workers, logs=self._logs)

    def check_restart(self) -> None:
        given = self._given
        if given is not None:
            given.check()
        elif self._broker_url() is not None:
            raise BackendError(
                "the workers of this cluster were started elsewhere: restart them there, as with "
                "`docker compose restart` or systemctl"
            )

    def restart(self) -> None:
        self.close()
        given = self._given
        if given is not None:
            given.close()
            given.start()
            given.wait_until_reachable()

    def unfinished(self) -> int:
        client = self._client
        return 0 if client is None else client.unfinished()

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
            own, self._own = self._own, None
            detached, self._detached = self._detached, None
            queues, self._queues = self._queues, None
        if queues is not None:
            queues.close()
        if detached is not None:
            detached.close()
        if client is not None:
            client.close()
        if own is not None:
            own.close()

    def _connected(self) -> "Client":
        with self._lock:
            client = self._client
            if client is None or client.broken is not None:
                client = self._client = self._connect()
            return client

    def _detached_calls(self) -> "DetachedCalls":
        url = self._broker_url()
        if url is None or self._given is not None:
            raise BackendError(DETACHED_NEEDS_CLUSTER)
        with self._lock:
            if self._detached is None:
                from distribute_challenge.execution_backends.celery.client.detached_calls import (
                    DetachedCalls,
                )

                self._detached = DetachedCalls(url)
            return self._detached

    def _client_queues(self) -> "ClientQueues":
        from distribute_challenge.execution_backends.celery.client.queues import ClientQueues

        url, check = self._broker_url(), _no_check
        if self._given is not None or url is None:
            self._connected()
            cluster = self._given or self._own
            assert cluster is not None
            url, check = cluster.broker_url, cluster.check
        with self._lock:
            queues = self._queues
            if queues is not None and queues.url != url:
                queues.close()  # The embedded cluster that they were on has died.
                queues = None
            self._queues = queues = queues or ClientQueues(url, check)
            return queues

    def _broker_url(self) -> str | None:
        return None if self._local else self._url or settings.broker_url()

    def _connect(self) -> "Client":
        url = self._broker_url()
        cluster = self._given
        if url is None and cluster is None:
            if self._own is not None:
                self._own.close()
            cluster = self._own = EmbeddedCluster(self._workers or settings.worker_count())
            cluster.start()
        # Loading redis-py takes a while; meanwhile the processes of the embedded cluster start.
        from distribute_challenge.execution_backends.celery.client.client import Client

        wanted = settings.logs() if self._logs is None else self._logs
        if cluster is None:
            assert url is not None
            return Client(url, shows_logs=bool(wanted))
        cluster.wait_until_reachable()
        client = Client(
            cluster.broker_url,
            check=cluster.check,
            slots=cluster.workers,
            own_machine=True,
            shows_logs=wanted is not False,
        )
        if self._given is None and not self._local:
            from distribute_challenge.execution_backends.celery.client.nearby import (
                mention_workers_nearby,
            )

            mention_workers_nearby()
        return client


def _no_check() -> None:
    """Check nothing: a cluster that was started elsewhere may come back."""


def _forget_clients() -> None:
    for backend in _all:
        backend._lock = threading.Lock()
        backend._client = backend._own = backend._detached = backend._queues = None


os.register_at_fork(after_in_child=_forget_clients)
