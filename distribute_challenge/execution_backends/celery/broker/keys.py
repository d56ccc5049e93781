r"""Names of everything that the library keeps in Redis, and for how long.

| key | type | holds | ends |
| --- | --- | --- | --- |
| ``<queue>``, ``<queue>\\x06\\x16<n>`` | list | Celery messages, one list for each priority | when a worker takes them |
| ``distribute_challenge:function:<digest>`` | string | a pickled function with its modules | `FUNCTION_EXPIRY` after its last use |
| ``distribute_challenge:value:<client>:<key>`` | string | a large value (``stores.redis``) | a minute after its client's last word |
| ``distribute_challenge:sent:<tag>`` | string | nothing: a message that may be sent once has been sent | after its lifetime |
| ``distribute_challenge:replies:<client>`` | list | replies for one client | when it reads them, or `REPLY_EXPIRY` later |
| ``distribute_challenge:detached:<id>`` | hash | a detached call that has not ended, with its message | when it ends |
| ``distribute_challenge:detached:open`` | sorted set | when somebody last looked where the message of each is | when none is open |
| ``distribute_challenge:detached:function:<digest>`` | hash | a function that they need, and their ids | likewise |
| ``distribute_challenge:detached:<id>:outcome`` | string | the reply to one | its time to live |
| ``distribute_challenge:workers`` | hash | one JSON line for each worker | the worker removes it; readers ignore stale ones |
| ``distribute_challenge:clients`` | hash | one JSON line for each client | likewise |
| ``distribute_challenge:unacked`` | hash | messages that workers hold, with their holders (``held``) | when they are done |
| ``distribute_challenge:unacked_index`` | sorted set | when each was last renewed, by Redis' clock | likewise |

Celery itself keeps ``_kombu.binding.*`` and the lists of its remote control.
"""

__all__ = [
    "CLIENTS",
    "DETACHED_OPEN",
    "FUNCTION_EXPIRY",
    "REPLY_EXPIRY",
    "UNACKED",
    "WORKERS",
    "client_of",
    "detached_function_key",
    "detached_key",
    "function_key",
    "is_outcome_key",
    "outcome_key",
    "replies_key",
    "sent_key",
]

_PREFIX = "distribute_challenge:"

WORKERS = _PREFIX + "workers"
CLIENTS = _PREFIX + "clients"

UNACKED = _PREFIX + "unacked"

FUNCTION_EXPIRY = (
    3600  # Seconds; a client that uses it renews it at half that time, and sends it again if asked.
)
REPLY_EXPIRY = 3600  # Seconds that replies wait for a client which may be gone.


def function_key(digest: str) -> str:
    """Where a function's payload lies."""
    return f"{_PREFIX}function:{digest}"


def replies_key(client: str) -> str:
    """The list that a client reads its replies from."""
    return f"{_PREFIX}replies:{client}"


def sent_key(tag: str) -> str:
    """What says that the message of a tag has been sent."""
    return f"{_PREFIX}sent:{tag}"


_DETACHED = _PREFIX + "detached:"
_OUTCOME = ":outcome"

DETACHED_OPEN = _DETACHED + "open"


def detached_key(id: str) -> str:  # noqa: A002
    """Where the record of a detached call lies as long as it is open."""
    return f"{_DETACHED}{id}"


def detached_function_key(digest: str) -> str:
    """Where a function lies as long as a detached call needs it: its payload, and the ids of those
    calls.
    """
    return f"{_DETACHED}function:{digest}"


def outcome_key(id: str) -> str:  # noqa: A002
    """Where the reply to a detached call lies."""
    return f"{detached_key(id)}{_OUTCOME}"


def is_outcome_key(key: str) -> bool:
    """Whether a reply that goes there is to a detached call."""
    return key.startswith(_DETACHED) and key.endswith(_OUTCOME)


def client_of(batch: str) -> str:
    """Id of a message's client, which the message's own begins with.

    Examples:
        >>> client_of("6d0a4c-17")
        '6d0a4c'
    """
    return batch.rpartition("-")[0]
