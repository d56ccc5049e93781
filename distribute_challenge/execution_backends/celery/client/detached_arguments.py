"""Large arguments of a detached call: in Redis, under keys that its record names.

    submit ──► put, in parts ──► the record is added: the keys stay as long as it does ──► the call ends: they go with it
                    │
                    └─ the client dies before that: they expire within a minute

A message with hundreds of megabytes would keep Redis from its other clients for seconds at each
step: into the queue, to the worker, into the worker's books, at each look.
"""

from collections.abc import Sequence
from typing import NamedTuple

from distribute_challenge.core.messages import Task
from distribute_challenge.errors import StoreFullError
from distribute_challenge.execution_backends.celery.broker.connection import Broker
from distribute_challenge.serialisation import pack_plain
from distribute_challenge.stores import RedisStore, Reference

__all__ = ["LARGEST_FUNCTION", "DetachedArguments", "check_function", "put_arguments"]

LARGEST_FUNCTION = 64_000_000  # Bytes of a function, which goes to Redis as a whole; a guess.


class DetachedArguments(NamedTuple):
    """What the message of a detached call carries.

    Args:
        data: The arguments, or a reference to them.
        places: Where the reference leads to, for the header of the batch.
        keys: The keys of Redis that hold them.
    """

    data: bytes
    places: Sequence[str] = ()
    keys: Sequence[str] = ()


def check_function(task: Task) -> None:
    """Raise `StoreFullError` if a detached call's function is too large."""
    size = len(task.function.payload)
    if size > LARGEST_FUNCTION:
        raise StoreFullError(
            f"{task.function.name} has {size / 1e6:.0f} MB with all that it captures and its "
            f"modules, and the function of a detached "
            f"call may have {LARGEST_FUNCTION / 1e6:.0f} MB: pass what is large as an argument"
        )


def put_arguments(task: Task, call: str, connection: Broker) -> DetachedArguments:
    """Put a call's arguments into Redis if they are large.

    Args:
        task: The call, with nothing in a depot.
        call: Its id.
        connection: To the broker.

    Raises:
        StoreFullError: Redis has no room for them.
        BrokerUnreachableError: Redis does not take them.
    """
    store = RedisStore(connection, call, connection.keyring)
    keys: list[str] = []

    def keep(data: memoryview) -> Reference:
        reference = Reference("arguments", data.nbytes)
        store.put(reference.key, data)
        keys.extend(store.keys_of(*reference))
        return reference

    try:
        data = pack_plain(task.arguments, keep)
    except StoreFullError as error:
        raise StoreFullError(
            f"Redis has no room for the arguments of the detached call of {task.function.name}, "
            f"{len(task.arguments) / 1e6:.0f} MB "
            f"({error.__cause__}): give it more (maxmemory), or write what is large to a file that "
            f"workers can read, and send "
            f"its name"
        ) from error
    return DetachedArguments(data, [store.name] if keys else [], keys)
