"""What is in Redis when all calls are done, beside what docs/configuration.md lists."""

import fnmatch
from typing import Any

import redis

from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["DOCUMENTED", "Key", "keys", "unknown"]

Key = tuple[str, str, int]

#: Patterns of names, as the table of keys in docs/configuration.md has them.
DOCUMENTED = (
    DEFAULT_QUEUE,
    f"{DEFAULT_QUEUE}\x06\x16*",
    "distribute_challenge:function:*",
    "distribute_challenge:value:*",
    "distribute_challenge:replies:*",
    "distribute_challenge:workers",
    "distribute_challenge:clients",
    "distribute_challenge:unacked",
    "distribute_challenge:unacked_index",
    "distribute_challenge:sent:*",
    "distribute_challenge:detached:*",
    "_kombu.binding*",
    "distribute_challenge.ping.*",  # Answers that came when they were no longer waited for.
    "*.pidbox",
)


def keys(connection: redis.Redis) -> list[Key]:
    """All keys of a database: name, type and seconds to live, -1 for those that stay."""
    raw: Any = connection  # Bytes, as this library connects; redis-py's types allow for text.
    return [
        (name.decode(), raw.type(name).decode(), raw.ttl(name)) for name in sorted(raw.scan_iter())
    ]


def unknown(found: list[Key]) -> list[Key]:
    """Return the keys that are not documented.

    Examples:
        >>> unknown([("distribute_challenge:workers", "hash", -1), ("distribute_challenge:what", "string", 60)])
        [('distribute_challenge:what', 'string', 60)]
    """
    return [
        key
        for key in found
        if not any(fnmatch.fnmatchcase(key[0], pattern) for pattern in DOCUMENTED)
    ]
