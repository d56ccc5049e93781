"""What a worker is told to do beside running calls: by Celery's remote control, but only by a
holder of the secret.

An order is the one argument of a control command, as text: its content as JSON, sealed, in base64.
It is good for as long as a message is.
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
    """An order as it travels.

    Args:
        keyring: Signs it.
        command: Name of the control command that it is for.
        issued: When it is given, by the cluster's clock; None: now, by this machine's.
        content: What JSON can hold.

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
    """What an order says.

    Args:
        keyring: Opens it.
        command: What it has to be for.
        order: What came.
        now: The cluster's time, for one that comes from outside; None: the worker's gate has looked
            at its age.

    Raises:
        ForgedError: Nobody with the secret has given it, or for another command, or long ago.
    """
    try:
        sealed = b64decode(order, validate=True)  # type: ignore[arg-type] # whatever came
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
