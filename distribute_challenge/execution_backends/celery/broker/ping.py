"""Ask workers whether they are running.

A health check does this again and again on busy machines, so it has to be cheap.
"""

from collections.abc import Collection
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.execution_backends.celery.broker.mailbox import Answers, ask

__all__ = ["ping"]


def ping(
    connection: Broker,
    names: Collection[str] | None = None,
    *,
    wanted: int | None = None,
    timeout: float = 1.0,
) -> Answers[float]:
    """Ask workers for a sign of life, again and again until enough have answered.

    Args:
        connection: The connection to the workers' broker, which returns answers as bytes.
        names: Workers to ask, in full as in ``worker@host``; None: all.
        wanted: As for `ask`.
        timeout: Seconds to wait for answers. Workers that start in that time are asked, too.

    Returns:
        The seconds that each worker took, by its name, in the order of the answers.

    Raises:
        redis.RedisError: Redis cannot be reached, or refuses.

    Examples:
        >>> from distribute_challenge import LocalCluster
        >>> from distribute_challenge.execution_backends.celery.broker.connection import connect
        >>> with LocalCluster(workers=1) as cluster:
        ...     answers = ping(connect(cluster.broker_url), timeout=20)
        >>> [name.partition("@")[0] for name in answers]
        ['embedded']
    """
    asked_at = clock.monotonic()

    def seconds(said: Any) -> float:
        if said != {"ok": "pong"}:
            raise ValueError("without a pong")
        return clock.monotonic() - asked_at

    return ask(connection, "ping", {}, seconds, names=names, wanted=wanted, timeout=timeout)
