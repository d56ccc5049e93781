"""Orders: commands to workers beside calls, sent by Celery's remote control and sealed.

Only a holder of the secret can give one. An order is the one argument of a control command, as
text: its content as JSON, sealed, in base64. It is valid for as long as a message is.
"""

import json
from base64 import b64decode, b64encode
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.messages import LIFETIME
from distribute_challenge.core.schema import seconds
from distribute_challenge.errors import ForgedError
from distribute_challenge.security import Keyring, Purpose

__all__ = ["CANCEL", "SCALE", "opened_order", "sealed_order"]

#: The control command that stops calls.
CANCEL = "distribute_challenge_cancel"

#: The control command that changes how many processes a worker has.
SCALE = "distribute_challenge_scale"


def sealed_order(
    keyring: Keyring, command: str, issued: float | None = None, **content: Any
) -> str:
    """Return an order as it travels.

    Args:
        keyring: Signs the order.
        command: Name of the control command that it is for.
        issued: When it is given, by the cluster's clock; None: now, by this machine's clock.
        content: The content: values that JSON can hold.

    Examples:
        >>> keyring = Keyring.insecure()
        >>> opened_order(keyring, "scale", sealed_order(keyring, "scale", processes=2))
        {'processes': 2}
    """
    issued = clock.now() if issued is None else issued
    text = json.dumps({"command": command, "issued": issued, "content": content})
    return b64encode(keyring.seal(Purpose.ORDER, [text.encode()])).decode()


def opened_order(
    keyring: Keyring, command: str, order: object, now: float | None = None
) -> dict[str, Any]:
    """Return the content of an order.

    Args:
        keyring: Opens the order.
        command: Name of the control command that it has to be for.
        order: The argument that arrived.
        now: The cluster's time, to check the age of an order from outside; None: the worker's gate
            has checked it.

    Raises:
        ForgedError: It is not signed with the secret, or is for another command, or is too old.
    """
    try:
        sealed = b64decode(order, validate=True)  # type: ignore[arg-type] # may be any value
        opened = json.loads(bytes(keyring.open(Purpose.ORDER, sealed)))
    except (TypeError, ValueError, RecursionError):
        raise ForgedError("an order has to be JSON, sealed, as text in base64") from None
    match opened:
        case {"command": str(given_for), "issued": issued, "content": dict(content)} if seconds(
            issued
        ):
            if given_for != command:
                raise ForgedError("an order for another command")
            if now is not None and abs(now - issued) > LIFETIME:
                raise ForgedError("an order from long ago")
            return content
    raise ForgedError("an order that says nothing")
