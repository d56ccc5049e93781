"""The user's exception, from the worker's frames to the client's `except` line.

    worker: the exception, and all it is linked to ──> one `Node` each, pickled by itself ──> bytes
    client: bytes ──> an exception for each node ──> linked again

What cannot be pickled, or not be unpickled, is replaced by text as close to it as possible: an
attribute's value, one exception of a chain, and only at last the exception itself, by a
`RemoteError`.

Guarantees: `dumps_error` and `loads_error` raise nothing but what interrupts them from outside
(`is_interrupt`), whatever the exception's class does. What they do takes no more stack for a long
chain than for a short one.
"""

from distribute_challenge.core.guarded import name_of, text_of, tried

__all__ = ["dumps_error", "loads_error"]


def dumps_error(error: BaseException, note: str = "") -> bytes:
    """Pickle what a call raised, with the part of its traceback that is the user's.

    Args:
        error: The exception; it is not changed.
        note: One more note for the other end; empty: none.
    """
    # As few programs need it at their start.
    from distribute_challenge.serialisation.exceptions.node import Node, encoded
    from distribute_challenge.serialisation.exceptions.packing import Packing

    return tried(
        lambda: Packing(error, note).packed(),
        lambda reason: encoded(
            [Node(name_of(type(error)), text_of(error), notes=[note] if note else [])], []
        ),
    )


def loads_error(data: bytes | memoryview) -> BaseException:
    """The exception itself, or a `RemoteError` where this process cannot rebuild it."""
    from distribute_challenge.serialisation.exceptions.node import decoded  # As above.
    from distribute_challenge.serialisation.exceptions.unpacking import Unpacking

    return Unpacking(*decoded(data)).error()
