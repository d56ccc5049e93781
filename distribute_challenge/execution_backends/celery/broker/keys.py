r"""The names of all keys that the library has in Redis, and how long they live.

All names but the first begin with ``distribute_challenge:``.

| key | type | holds | ends |
| --- | --- | --- | --- |
| ``<queue>``, ``<queue>\\x06\\x16<n>`` | list | messages, one list per priority | when taken |
| ``function:<digest>`` | string | a function with its modules | `FUNCTION_EXPIRY` after last use |
| ``value:<client>:<key>`` | string | a large value (`stores`) | a minute after its client is gone |
| ``sent:<tag>`` | string | nothing: a send-once message was sent | after the message's lifetime |
| ``replies:<client>`` | list | a client's replies | when it reads them, or after `REPLY_EXPIRY` |
| ``detached:<id>`` | hash | an open detached call, with its message | when it ends |
| ``detached:open`` | sorted set | when each one's message was last looked for | when none is open |
| ``detached:function:<digest>`` | hash | a function they need, and their ids | when none needs it |
| ``detached:<id>:outcome`` | string | the reply to a detached call | after its time to live |
| ``queues`` | set | the names of the named queues of items | when they are deleted |
| ``queue:<part>:<id>`` | several | a queue of items (`queue_script_parts`) | `QUEUE_EXPIRY`, or deleted |
| ``workers`` | hash | one JSON line per worker | when it ends; readers remove old lines |
| ``clients`` | hash | one JSON line per client | when it ends; readers remove old lines |
| ``watched`` | string | nothing: a dashboard watches | 10 s after its last look |
| ``reports`` | stream | what processes report while watched | a minute after the last report |
| ``unacked`` | hash | messages that workers hold, with the workers | when they are done |
| ``unacked_index`` | sorted set | when each was renewed, by Redis' clock | when they are done |

Celery itself keeps ``_kombu.binding.*`` and the lists of its remote control.
"""

__all__ = [
    "CLIENTS",
    "DETACHED_OPEN",
    "FUNCTION_EXPIRY",
    "QUEUES",
    "QUEUE_EXPIRY",
    "REPLY_EXPIRY",
    "REPORTS",
    "UNACKED",
    "WATCHED",
    "WORKERS",
    "client_of",
    "detached_function_key",
    "detached_key",
    "function_key",
    "is_outcome_key",
    "outcome_key",
    "queue_key",
    "replies_key",
    "sent_key",
]

_PREFIX = "distribute_challenge:"

WORKERS = _PREFIX + "workers"
CLIENTS = _PREFIX + "clients"

UNACKED = _PREFIX + "unacked"

WATCHED = _PREFIX + "watched"
REPORTS = _PREFIX + "reports"

FUNCTION_EXPIRY = (
    3600  # Seconds; a client renews a function at half that time, and sends it again if asked.
)
REPLY_EXPIRY = 3600  # Seconds that replies wait for a client that may be gone.


QUEUES = _PREFIX + "queues"
QUEUE_EXPIRY = 60  # Seconds that an unnamed queue stays when its client is gone; renewed before.


def queue_key(part: str, id: str) -> str:  # noqa: A002
    """Return the key of one part of a queue of items.

    Args:
        part: Which part, as in `queue_script_parts`.
        id: The queue's id.
    """
    return f"{_PREFIX}queue:{part}:{id}"


def function_key(digest: str) -> str:
    """Return the key of a function's payload."""
    return f"{_PREFIX}function:{digest}"


def replies_key(client: str) -> str:
    """Return the key of the list from which a client reads its replies."""
    return f"{_PREFIX}replies:{client}"


def sent_key(tag: str) -> str:
    """Return the key that exists once the message with a tag has been sent."""
    return f"{_PREFIX}sent:{tag}"


_DETACHED = _PREFIX + "detached:"
_OUTCOME = ":outcome"

DETACHED_OPEN = _DETACHED + "open"


def detached_key(id: str) -> str:  # noqa: A002
    """Return the key of the record of a detached call, which exists as long as the call is open."""
    return f"{_DETACHED}{id}"


def detached_function_key(digest: str) -> str:
    """Return the key of a function that detached calls need: its payload, and the calls' ids."""
    return f"{_DETACHED}function:{digest}"


def outcome_key(id: str) -> str:  # noqa: A002
    """Return the key of the reply to a detached call."""
    return f"{detached_key(id)}{_OUTCOME}"


def is_outcome_key(key: str) -> bool:
    """Whether a reply with this key is the reply to a detached call."""
    return key.startswith(_DETACHED) and key.endswith(_OUTCOME)


def client_of(batch: str) -> str:
    """Return the id of a message's client, with which the message's own id begins.

    Examples:
        >>> client_of("6d0a4c-17")
        '6d0a4c'
    """
    return batch.rpartition("-")[0]
