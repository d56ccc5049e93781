"""What the parts of one client share: who it is to workers, and how its receiver reaches Redis."""

from dataclasses import dataclass

from distribute_challenge.execution_backends.celery.broker.connection import Broker

__all__ = ["Session"]


@dataclass(frozen=True, slots=True)
class Session:
    """One client, as its receiver thread sees it.

    Args:
        client: The client's id.
        connection: To Redis; only the receiver thread uses it.
        replies: Key of the list that most replies come to.
    """

    client: str
    connection: Broker
    replies: str
