"""What the parts of one client share: its id, its receiver's connection and its reply list."""

from dataclasses import dataclass

from distribute_challenge.execution_backends.celery.broker.connection import Broker

__all__ = ["Session"]


@dataclass(frozen=True, slots=True)
class Session:
    """The identity of one client, which its receiver thread and its heartbeat use.

    Args:
        client: The client's id.
        connection: The connection to Redis; only the receiver thread uses it.
        replies: Key of the list in Redis that most replies come to.
    """

    client: str
    connection: Broker
    replies: str
