r"""Names of everything that the library keeps in Redis, and for how long.

| key | type | holds | ends |
| --- | --- | --- | --- |
| ``<queue>``, ``<queue>\\x06\\x16<n>`` | list | Celery messages, one list for each priority | when a worker takes them |
| ``distribute_challenge:function:<digest>`` | string | a pickled function with its modules | `FUNCTION_EXPIRY` after its last use |
| ``distribute_challenge:value:<client>:<key>`` | string | a large value (``stores.redis``) | a minute after its client's last word |
| ``distribute_challenge:replies:<client>`` | list | replies for one client | when it reads them, or `REPLY_EXPIRY` later |
| ``distribute_challenge:workers`` | hash | one JSON line for each worker | the worker removes it; readers ignore stale ones |
| ``distribute_challenge:clients`` | hash | one JSON line for each client | likewise |
| ``distribute_challenge:unacked`` | hash | messages that workers hold, kept by kombu | when they are done |
| ``distribute_challenge:unacked_index`` | sorted set | when each of them was last known to be in work | likewise |
| ``distribute_challenge:unacked_mutex`` | string | one worker at a time looks for lost ones | seconds later |

Celery itself keeps ``_kombu.binding.*`` and the lists of its remote control.
"""

__all__ = [
    "CLIENTS",
    "FUNCTION_EXPIRY",
    "REPLY_EXPIRY",
    "UNACKED",
    "WORKERS",
    "client_of",
    "function_key",
    "replies_key",
]

_PREFIX = "distribute_challenge:"

WORKERS = _PREFIX + "workers"
CLIENTS = _PREFIX + "clients"

UNACKED = _PREFIX + "unacked"

FUNCTION_EXPIRY = 3600  # Seconds; a client that uses it renews it at half that time, and sends it again if asked.
REPLY_EXPIRY = 3600  # Seconds that replies wait for a client which may be gone.


def function_key(digest: str) -> str:
    """Where a function's payload lies."""
    return f"{_PREFIX}function:{digest}"


def replies_key(client: str) -> str:
    """The list that a client reads its replies from."""
    return f"{_PREFIX}replies:{client}"


def client_of(batch: str) -> str:
    """Id of a message's client, which the message's own begins with.

    Example:
        >>> client_of("6d0a4c-17")
        '6d0a4c'
    """
    return batch.rpartition("-")[0]
