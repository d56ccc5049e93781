"""Samples the cluster once a second: queue, connections, CPU, memory, and other programs' CPU."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import redis

from distribute_challenge.benchmarking.measuring.other_load import OtherLoad
from distribute_challenge.benchmarking.recording import Sample, Usage
from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.publishing import queue_length
from distribute_challenge.log import logger
from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["Monitor"]

EVERY = 1.0  # Seconds.


class Monitor:
    """Takes samples of a cluster, in a thread of its own.

    A sample that cannot be taken is left out, with a warning in the log: the measurement goes on.

    Args:
        broker_url: Address of the cluster's broker.
        usage: Returns what each container or process takes, by name.
        epoch: When recorded times are 0, in seconds since 1970.
    """

    def __init__(
        self, broker_url: str, usage: Callable[[], Mapping[str, Usage]], *, epoch: float
    ) -> None:
        self._url = broker_url
        self._usage = usage
        self._epoch = epoch
        self._others = OtherLoad()

    @contextmanager
    def watching(self, in_flight: Callable[[], int]) -> Iterator[list[Sample]]:
        """Take samples while the block runs.

        Args:
            in_flight: Returns how many calls are in flight.

        Yields:
            The samples so far; the list grows until the block is left.
        """
        samples: list[Sample] = []
        ended = threading.Event()
        thread = threading.Thread(
            target=self._watch,
            args=(samples, in_flight, ended),
            name="distribute_challenge monitor",
            daemon=True,
        )
        thread.start()
        try:
            yield samples
        finally:
            ended.set()
            thread.join()

    def _watch(
        self, samples: list[Sample], in_flight: Callable[[], int], ended: threading.Event
    ) -> None:
        with connect(self._url) as connection:
            due = time.monotonic()
            while True:
                try:
                    samples.append(self._sample(connection, in_flight))
                except (redis.RedisError, OSError, DistributeChallengeError) as error:
                    logger.warning("no sample of the cluster was taken: %s", error)
                # Missed samples are left out, so that the others keep their distance.
                now = time.monotonic()
                due += EVERY * max(1, -(-(now - due) // EVERY))
                if ended.wait(due - now):
                    return

    def _sample(self, connection: redis.Redis, in_flight: Callable[[], int]) -> Sample:
        usage = self._usage()
        return Sample(
            time=round(time.time() - self._epoch, 6),
            messages=queue_length(connection, DEFAULT_QUEUE),
            in_flight=in_flight(),
            connections=_connections(connection),
            usage=dict(usage),
            others=round(self._others.cores(sum(used.cpu for used in usage.values())), 3),
        )


def _connections(connection: redis.Redis) -> dict[str, int]:
    """Count the connections to Redis, without this one, by the machine that they come from."""
    own = connection.client_info()
    home = _machine(str(own["addr"]))
    others = [client for client in connection.client_list() if client["id"] != str(own["id"])]
    if not home:
        return {"all": len(others)}  # A Unix socket: all come from this machine.
    return dict(
        Counter(
            "client" if _machine(str(client["addr"])) == home else "workers" for client in others
        )
    )


def _machine(address: str) -> str:
    """Return the host of ``"host:port"``; empty for a Unix socket."""
    return "" if "/" in address else address.rpartition(":")[0]
