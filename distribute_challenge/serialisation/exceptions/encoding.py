"""The user's exception, from the worker's frames to the client's `except` line.

    worker: the exception, and all it is linked to ──> one `Node` each, pickled by itself ──> bytes
    client: bytes ──> an exception for each node ──> linked again

Text replaces what cannot be pickled or unpickled, in the smallest part possible: the value of an
attribute, then one exception of a chain, and only as a last resort the exception itself, which
becomes a `RemoteError`.

Guarantees: `dumps_error` and `loads_error` raise only interrupts from outside (`is_interrupt`),
whatever the exception's class does. A long chain takes no more stack than a short one.
"""

from distribute_challenge.core.guarded import name_of, text_of, tried

__all__ = ["dumps_error", "loads_error"]


def dumps_error(error: BaseException, note: str = "") -> bytes:
    """Pickle an exception that a call raised, with the part of its traceback that is the user's.

    Args:
        error: The exception; it is not changed.
        note: One more note for the client to show; empty: none.
    """
    # Imported here, because few programs need it when they start.
    from distribute_challenge.serialisation.exceptions.node import Node, encoded
    from distribute_challenge.serialisation.exceptions.packing import Packing

    return tried(
        lambda: Packing(error, note).packed(),
        lambda reason: encoded(
            [Node(name_of(type(error)), text_of(error), notes=[note] if note else [])], []
        ),
    )


def loads_error(data: bytes | memoryview) -> BaseException:
    """Return the exception itself, or a `RemoteError` where this process cannot rebuild it."""
    from distribute_challenge.serialisation.exceptions.node import decoded  # As in `dumps_error`.
    from distribute_challenge.serialisation.exceptions.unpacking import Unpacking

    return Unpacking(*decoded(data)).error()
