"""A remedy for kombu: a worker that holds a message survives the loss of its broker.

When the connection breaks, kombu closes the channel and gives back the messages that are in work, and for that it
connects once more; but where to, it asks the connection that is gone by then. The ``AttributeError`` ends the worker, though
Redis may be back in a second; acknowledging the message afterwards fails the same way. Here the channel remembers where it
was connected to.

Seen in kombu 5.7.0 with Celery 5.7.0; `test_lasting_channel` tells when kombu does without.
"""

from typing import Any

from kombu.transport.redis import Channel

__all__ = ["LastingChannel"]


class LastingChannel(Channel):  # type: ignore[misc] # kombu has hardly any types
    """A Redis channel that can still give back and acknowledge what it holds after its connection is gone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last_parameters: dict[str, Any] = super()._connparams()

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        if self.connection is None or self.connection.client is None:
            return dict(self._last_parameters)
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        return parameters
