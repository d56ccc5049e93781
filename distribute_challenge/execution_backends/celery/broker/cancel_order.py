"""The order in which a client tells workers which calls to cancel; remote control carries it."""

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

#: Calls of one message, by their numbers in it; None: all.
Calls = Sequence[int] | None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """The calls that a client has cancelled: they have to stop, or must not begin.

    Args:
        batches: The ids of messages, with the cancelled calls of each.
        client: Id of a client that cancels all of its calls; empty: only the calls in ``batches``.

    Examples:
        >>> keyring = Keyring.insecure()
        >>> order = CancelOrder({"c1-7": [0, 2], "c1-8": None})
        >>> CancelOrder.read(keyring, order.text(keyring)) == order
        True
    """

    batches: Mapping[str, Calls] = field(default_factory=dict)
    client: str = ""

    def text(self, keyring: Keyring, issued: float | None = None) -> str:
        """Return the order as it travels; ``issued`` as for `sealed_order`."""
        return sealed_order(keyring, CANCEL, issued, batches=self.batches, client=self.client)

    @classmethod
    def read(cls, keyring: Keyring, text: object) -> "CancelOrder":
        """Read an order from its text.

        Raises:
            ForgedError: It is no order, or it is not signed with the secret.
        """
        try:
            return cls(**opened_order(keyring, CANCEL, text))
        except TypeError as error:
            raise ForgedError("an order with other parts than those that are known here") from error
