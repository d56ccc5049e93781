"""What a client tells workers about calls that it does not want any more: which ones, in a text that remote control carries."""

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["COMMAND", "Calls", "Order"]

#: The remote-control command that takes one, in its single argument ``order``.
COMMAND: Final = "distribute_challenge_cancel"

#: Calls of one message, by their number in it; None: all.
Calls = Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Order:
    """Calls that are to stop, or not to begin.

    Args:
        batches: Which calls of which messages.
        client: Id of a client that wants none of its calls any more; empty: it is about single messages.
        spared: Messages of that client that go on all the same: those whose results are kept for whoever asks.
        issued: Seconds since the epoch.

    Example:
        >>> order = Order({"c1-7": [0, 2], "c1-8": None})
        >>> Order.read(order.text()) == order
        True
    """

    batches: Mapping[str, Calls] = field(default_factory=dict)
    client: str = ""
    spared: Sequence[str] = field(default_factory=list)
    issued: float = field(default_factory=time.time)

    def text(self) -> str:
        """The order as it travels."""
        content = {"batches": self.batches, "client": self.client, "spared": self.spared, "issued": self.issued}
        return b64encode(_wrapped(json.dumps(content).encode())).decode()

    @classmethod
    def read(cls, text: str) -> "Order":
        """The order in a text.

        Raises:
            ValueError: It is none.
        """
        try:
            return cls(**json.loads(_unwrapped(b64decode(text, validate=True))))
        except TypeError as error:
            raise ValueError(f"not an order: {error}") from error


# Where the seal goes on and is looked at.


def _wrapped(content: bytes) -> bytes:
    return content


def _unwrapped(data: bytes) -> bytes:
    return data
