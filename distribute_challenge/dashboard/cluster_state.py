"""What Redis tells about a cluster at any time, whether a dashboard watches or not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import redis

from distribute_challenge.dashboard.snapshot import ItemQueueRow, QueueRow, RedisRow
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.keys import DETACHED_OPEN
from distribute_challenge.execution_backends.celery.broker.presence import (
    ClientPresence,
    WorkerPresence,
)
from distribute_challenge.execution_backends.celery.broker.publishing import queue_length
from distribute_challenge.execution_backends.celery.broker.queues import QueueRecord, queue_names
from distribute_challenge.execution_backends.item_queue import queue_id
from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["ClusterState", "backlog", "item_queues", "redis_row"]


class ClusterState(NamedTuple):
    """The workers and clients that show themselves, the queues, and the detached calls.

    Args:
        workers: The workers that take this connection's calls.
        strangers: Number of workers that have another secret.
        clients: The clients.
        queues: The queues that are served or that clients wait for.
        detached_calls: Number of unfinished detached calls.
    """

    workers: Sequence[WorkerPresence]
    strangers: int
    clients: Sequence[ClientPresence]
    queues: Sequence[QueueRow]
    detached_calls: int

    @classmethod
    def read(cls, connection: Broker) -> "ClusterState":
        """Read it from Redis.

        Raises:
            redis.RedisError: Redis does not answer, or refuses.
        """
        workers, strangers = presence.workers_and_strangers(connection)
        clients = presence.clients(connection)
        unfinished: Counter[str] = Counter()
        for client in clients:
            unfinished.update(client.queues)
        names = {DEFAULT_QUEUE, *unfinished, *(name for each in workers for name in each.queues)}
        queues = [
            QueueRow(
                name,
                queue_length(connection, name),
                unfinished[name],
                presence.slots(workers, name),
            )
            for name in sorted(names)
        ]
        detached: Any = connection.zcard(DETACHED_OPEN)
        return cls(workers, strangers, clients, queues, detached)


def backlog(connection: Broker) -> dict[str, Any]:
    """Return the unfinished calls of a cluster, for programs that start and end workers.

    The length of a queue does not show them: a client sends no more messages than keep the workers
    busy, and holds the rest back.

    Args:
        connection: To the broker.

    Returns:
        Numbers: unfinished calls, those that are detached, worker processes, and the same by queue.
            Detached calls are not counted by queue.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    state = ClusterState.read(connection)
    own = sum(client.waiting for client in state.clients)
    return {
        "unfinished_calls": own + state.detached_calls,
        "detached_calls": state.detached_calls,
        "workers": len(state.workers),
        "processes": _processes(state.workers),
        "clients": len(state.clients),
        "queues": {
            row.name: {
                "unfinished_calls": row.unfinished_calls,
                "messages": row.messages,
                "processes": row.processes,
            }
            for row in state.queues
        },
    }


def item_queues(connection: Broker, most: int) -> tuple[list[ItemQueueRow], int]:
    """Return the named queues of items, and how many further ones there are.

    A queue that is deleted meanwhile is left out, and so is one whose key has another type.

    Args:
        connection: To the broker.
        most: How many queues to return at most.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    names = queue_names(connection)
    rows = []
    for name in names[:most]:
        with suppress(redis.ResponseError):
            state = QueueRecord(connection, queue_id(name)).state()
            if state is not None:
                rows.append(
                    ItemQueueRow(name, state.size, state.unfinished, state.dead, state.maxsize)
                )
    return rows, max(0, len(names) - most)


def redis_row(connection: Broker) -> RedisRow:
    """Return what the server tells about itself.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    info: Any = connection.info()
    return RedisRow(
        version=str(info.get("redis_version", "")),
        memory=int(info.get("used_memory", 0)),
        memory_limit=int(info.get("maxmemory", 0)),
        connections=int(info.get("connected_clients", 0)),
        uptime=float(info.get("uptime_in_seconds", 0)),
    )


def _processes(workers: Iterable[WorkerPresence]) -> int:
    return sum(worker.concurrency for worker in workers)
