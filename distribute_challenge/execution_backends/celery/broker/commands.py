"""Commands to workers beside calls, which Celery's remote control carries, signed.

Only a holder of the secret can give one. A signed command is the one argument of Celery's control
command of that name, as text: its content as JSON, sealed, in base64. It is valid for as long as a
message is.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.messages import LIFETIME
from distribute_challenge.core.schema import seconds
from distribute_challenge.errors import ForgedError
from distribute_challenge.security import Keyring, Purpose

__all__ = ["CANCEL", "SCALE", "Calls", "CancelCommand", "open_command", "sign_command"]

#: The control command that stops calls.
CANCEL = "distribute_challenge_cancel"

#: The control command that changes how many processes a worker has.
SCALE = "distribute_challenge_scale"

#: Calls of one message, by their numbers in it; None: all.
Calls = Sequence[int] | None


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """The calls that a client has cancelled: they have to stop, or must not begin.

    Args:
        batches: The ids of messages, with the cancelled calls of each.
        client: Id of a client that cancels all of its calls; empty: only the calls in ``batches``.

    Examples:
        >>> keyring = Keyring.insecure()
        >>> command = CancelCommand({"c1-7": [0, 2], "c1-8": None})
        >>> CancelCommand.read(keyring, command.text(keyring)) == command
        True
    """

    batches: Mapping[str, Calls] = field(default_factory=dict)
    client: str = ""

    def text(self, keyring: Keyring, issued: float | None = None) -> str:
        """Return the command as it travels; ``issued`` as for `sign_command`."""
        return sign_command(keyring, CANCEL, issued, batches=self.batches, client=self.client)

    @classmethod
    def read(cls, keyring: Keyring, text: object) -> "CancelCommand":
        """Read a command from its text.

        Raises:
            ForgedError: It is no command, or it is not signed with the secret.
        """
        try:
            return cls(**open_command(keyring, CANCEL, text))
        except TypeError as error:
            raise ForgedError("a command with parts that are not known here") from error


def sign_command(keyring: Keyring, name: str, issued: float | None = None, **content: Any) -> str:
    """Return a command as it travels.

    Args:
        keyring: Signs the command.
        name: Name of the control command.
        issued: When it is given, by the cluster's clock; None: now, by this machine's clock.
        content: The content: values that JSON can hold.

    Examples:
        >>> keyring = Keyring.insecure()
        >>> open_command(keyring, "scale", sign_command(keyring, "scale", processes=2))
        {'processes': 2}
    """
    issued = clock.now() if issued is None else issued
    text = json.dumps({"command": name, "issued": issued, "content": content})
    return b64encode(keyring.seal(Purpose.COMMAND, [text.encode()])).decode()


def open_command(
    keyring: Keyring, name: str, signed: object, now: float | None = None
) -> dict[str, Any]:
    """Return the content of a command.

    Args:
        keyring: Opens the command.
        name: Name of the control command that it has to be for.
        signed: The argument that arrived.
        now: The cluster's time, to check the age of a command from outside; None: the worker's
            gate has checked it.

    Raises:
        ForgedError: It is not signed with the secret, or has another name, or is too old.
    """
    try:
        sealed = b64decode(signed, validate=True)  # type: ignore[arg-type] # may be any value
        opened = json.loads(bytes(keyring.open(Purpose.COMMAND, sealed)))
    except (TypeError, ValueError, RecursionError):
        raise ForgedError("a command has to be JSON, sealed, as text in base64") from None
    match opened:
        case {"command": str(given), "issued": issued, "content": dict(content)} if seconds(issued):
            if given != name:
                raise ForgedError("a command with another name")
            if now is not None and abs(now - issued) > LIFETIME:
                raise ForgedError("a command from long ago")
            return content
    raise ForgedError("a command that says nothing")
