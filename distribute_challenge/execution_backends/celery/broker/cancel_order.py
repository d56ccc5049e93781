"""What a client tells workers about calls that it does not want any more: which ones, in a text
that remote control carries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from distribute_challenge.errors import ForgedError
from distribute_challenge.execution_backends.celery.broker.orders import (
    CANCEL,
    opened_order,
    sealed_order,
)
from distribute_challenge.security import Keyring

__all__ = ["Calls", "CancelOrder"]

#: Calls of one message, by their number in it; None: all.
Calls = Sequence[int] | None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Calls that are to stop, or not to begin.

    Args:
        batches: Which calls of which messages.
        client: Id of a client that wants none of its calls any more; empty: it is about single
            messages.

    Examples:
        >>> keyring = Keyring.insecure()
        >>> order = CancelOrder({"c1-7": [0, 2], "c1-8": None})
        >>> CancelOrder.read(keyring, order.text(keyring)) == order
        True
    """

    batches: Mapping[str, Calls] = field(default_factory=dict)
    client: str = ""

    def text(self, keyring: Keyring, issued: float | None = None) -> str:
        """The order as it travels; ``issued`` as for `sealed_order`."""
        return sealed_order(keyring, CANCEL, issued, batches=self.batches, client=self.client)

    @classmethod
    def read(cls, keyring: Keyring, text: object) -> "CancelOrder":
        """The order in a text.

        Raises:
            ForgedError: It is none, or nobody with the secret has given it.
        """
        try:
            return cls(**opened_order(keyring, CANCEL, text))
        except TypeError as error:
            raise ForgedError("an order with other parts than those that are known here") from error
