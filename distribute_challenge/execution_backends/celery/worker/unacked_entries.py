"""The entries of unacknowledged messages in Redis: how they are made, read and removed.

An entry begins with a head, the name of its holder, which the holder has signed; the message
follows, byte for byte.
"""

import json
from base64 import b64decode
from typing import Any, Final, NamedTuple

from distribute_challenge.core.printable import printable
from distribute_challenge.core.schema import number_up_to, text
from distribute_challenge.errors import ForgedError
from distribute_challenge.security import Keyring, Purpose

__all__ = [
    "Command",
    "Envelope",
    "Holder",
    "ack_command",
    "holder_of",
    "parts_of",
    "put_back_command",
]

Command = tuple[str | bytes | float, ...]

_number = number_up_to()

# For both scripts, KEYS: hash, index; ARGV: tag, head of the entry.
_ACK: Final = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, #ARGV[2]) == ARGV[2] then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
end
"""
# KEYS also: the queue's list. ARGV also: the message, and whether it goes back although the hash
# has no entry of it. The push comes first, as Redis may refuse it for want of memory.
_PUT_BACK: Final = """
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, #ARGV[2]) ~= ARGV[2] or not entry and ARGV[4] == '' then
    return 0
end
redis.call('RPUSH', KEYS[3], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""


class Envelope(dict[str, Any]):
    """A message as kombu uses it, together with its bytes in Redis.

    Args:
        content: The message, parsed.
        key: Key of the list that it came from.
        data: Its exact bytes, by which its client finds it in the queue.
    """

    __slots__ = ("data", "key")

    def __init__(self, content: dict[str, Any], key: bytes, data: bytes) -> None:
        super().__init__(content)
        self.key = key
        self.data = data


class Holder(NamedTuple):
    """The process that holds a message.

    Args:
        host: Name of its machine.
        pid: Its process id there.
    """

    host: str
    pid: int


def ack_command(unacked_key: str, tag: str | bytes, head: bytes) -> Command:
    """Make the command that removes an entry if it has a given head.

    Args:
        unacked_key: Key of the hash.
        tag: The message's delivery tag.
        head: The head of the entry.
    """
    return ("EVAL", _ACK, 2, unacked_key, f"{unacked_key}_index", tag, head)


def put_back_command(
    unacked_key: str,
    tag: str | bytes,
    head: bytes,
    key: bytes,
    data: bytes,
    *,
    anyway: bool = False,
) -> Command:
    """Make the command that puts a message back to the front of its queue, and removes its entry.

    The command does nothing if the entry has another head.

    Args:
        unacked_key: Key of the hash.
        tag: The message's delivery tag.
        head: The head of the entry.
        key: Key of the queue's list.
        data: The message's bytes.
        anyway: Put it back even if it has no entry.
    """
    return (
        "EVAL",
        _PUT_BACK,
        3,
        unacked_key,
        f"{unacked_key}_index",
        key,
        tag,
        head,
        data,
        b"1" if anyway else b"",
    )


def parts_of(entry: bytes) -> tuple[bytes, bytes]:
    """Split an entry into its head and the message.

    Raises:
        ValueError: It is not an entry.
    """
    end = entry.index(b"\n") + 1
    return entry[:end], entry[end:]


def holder_of(head: bytes, keyring: Keyring) -> Holder:
    """Return the process that a head names.

    Args:
        head: The head of an entry.
        keyring: Opens it.

    Raises:
        ForgedError: No holder of the secret has written the head.
        BackendError: It is encrypted, and the package for that is not installed here.
    """
    try:
        sealed = b64decode(head.rstrip(b"\n"), validate=True)
        said = json.loads(bytes(keyring.open(Purpose.HOLDER, sealed)))
    except (ValueError, RecursionError):
        raise ForgedError("it has to be JSON, sealed, in base64") from None
    match said:
        case {"host": host, "pid": pid} if text(host) and _number(pid):
            return Holder(printable(host), pid)
    raise ForgedError("it names no process")
