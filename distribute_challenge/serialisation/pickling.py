"""Values to bytes and back.

There are three ways to pickle a value, and the cheapest that fits is taken:

1. numbers, strings and built-in containers of them: the C pickler alone, well under a microsecond;
2. everything else: cloudpickle, so that lambdas, closures and what `__main__` defines travel by
   value;
3. what a module of the user's own project defines: by name, and the module is noted, so that its
   source can travel along (see `project_pickler`).

Exceptions keep their traceback, cause, context and notes.
"""

import io
import pickle
import sys
from typing import Any, NamedTuple

from distribute_challenge.core.folding import set_traceback, traceback_of, users_frames
from distribute_challenge.core.guarded import text_of, tried
from distribute_challenge.core.interrupts import is_interrupt
from distribute_challenge.core.needs import is_need, value_of
from distribute_challenge.errors import SerialisationError, SystemFailureError
from distribute_challenge.serialisation.diagnosis import culprit
from distribute_challenge.serialisation.project_pickler import (
    PROTOCOL,
    BufferCallback,
    ProjectPickler,
)
from distribute_challenge.serialisation.script.definition_pickler import NamingPickler, version_of
from distribute_challenge.settings import full_tracebacks

__all__ = [
    "NotPlainError",
    "Pickled",
    "PlainPickler",
    "dumped",
    "dumps",
    "dumps_plain",
    "loads",
]

#: Turns bytes back into the value, and imports the modules that the bytes name.
loads = pickle.loads


class Pickled(NamedTuple):
    """A pickled value, and the names of the user's own modules that unpickling it needs."""

    data: bytes
    modules: frozenset[str]


class NotPlainError(Exception):
    """Raised by `PlainPickler` for an object that is no built-in value."""


class PlainPickler(pickle.Pickler):
    """Pickles built-in values only.

    The pickler calls `reducer_override` for every other object, which ends the pickling.
    """

    def reducer_override(self, obj: Any) -> Any:
        raise NotPlainError


class _NeedsPickler(pickle.Pickler):
    """Like `PlainPickler`, but with stand-ins for futures and calls (`core.needs`)."""

    def reducer_override(self, obj: Any) -> Any:
        if is_need(obj):
            return obj.__reduce_ex__(PROTOCOL)
        if obj is value_of:
            return NotImplemented
        raise NotPlainError


def dumps_plain(value: Any, *, needs: bool = False) -> bytes | None:
    """Pickle a value made of numbers, strings and built-in containers; None for any other.

    Args:
        value: The value to pickle.
        needs: Whether there may also be futures and calls in it, which are being collected.

    Examples:
        >>> loads(dumps_plain([1, {"a": None}]))
        [1, {'a': None}]
        >>> dumps_plain([1, object()]) is None
        True
    """
    file = io.BytesIO()
    try:
        (_NeedsPickler if needs else PlainPickler)(file, PROTOCOL).dump(value)
    except (NotPlainError, RecursionError, MemoryError):
        return None
    return file.getvalue()


def dumps(
    value: Any,
    what: str,
    buffer_callback: BufferCallback | None = None,
    *,
    unshared: bool = False,
    named: bool = False,
) -> Pickled:
    """Pickle any value.

    Args:
        value: The value to pickle.
        what: Its name in an error message, such as ``"the result of square"``.
        buffer_callback: Says, as for `pickle.Pickler`, whether a buffer stays in the pickle; None:
            all stay.
        unshared: Copy arrays in memory that is shared with other calls, and so is read-only: the
            copies can be written to.
        named: Pickle functions of the script with their names, so that a worker uses those of its
            ``__main__``.

    Raises:
        SerialisationError: It cannot be pickled; the message names the attribute that is to blame.
        ValueLostError: It holds a value that was put, and is gone.
    """
    try:
        return dumped(value, buffer_callback, unshared=unshared, named=named)
    except SystemFailureError:
        raise  # A value that was put is gone, so the error must not say that it is unpicklable.
    except BaseException as error:
        if is_interrupt(error):
            raise
        failure = error
        path, reason = tried(
            lambda: culprit(value, what, failure, _can_be_pickled),
            lambda _: (what, text_of(failure)),
        )
        raise SerialisationError(
            f"{what} cannot be pickled: {path}: {reason}. Leave it out, or make it on the worker, "
            f"inside the function."
        ) from _users_own(failure)


def dumped(
    value: Any,
    buffer_callback: BufferCallback | None = None,
    *,
    unshared: bool = False,
    named: bool = False,
) -> Pickled:
    """Pickle any value, as `dumps` does, but let errors pass as they are raised."""
    plain = dumps_plain(value)
    if plain is not None:
        return Pickled(plain, frozenset())
    kind = _UnsharingPickler if unshared else NamingPickler if named else ProjectPickler
    file = io.BytesIO()
    pickler = kind(file, version_of, buffer_callback)
    pickler.dump(value)
    return Pickled(file.getvalue(), frozenset(pickler.modules))


def _users_own(error: BaseException) -> BaseException | None:
    """Return the error if the user's code raised it; None if its text says all there is to say."""
    if full_tracebacks():
        return error
    users = users_frames(traceback_of(error))
    set_traceback(error, users)
    return error if users is not None else None


def _can_be_pickled(value: Any) -> BaseException | None:
    pickler = ProjectPickler(io.BytesIO(), version_of)
    reason: BaseException | None = tried(lambda: pickler.dump(value), lambda reason: reason)
    return reason


class _UnsharingPickler(ProjectPickler):
    """A `ProjectPickler` that copies NumPy's arrays over read-only memory."""

    def reducer_override(self, obj: Any) -> Any:
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(obj, numpy.ndarray) and not obj.flags.writeable:
            owner = obj
            while isinstance(owner, numpy.ndarray):
                owner = owner.base
            if isinstance(
                owner, memoryview
            ):  # Arrays that the user has made read-only have another owner, and stay as they are.
                return obj.copy("K").__reduce_ex__(PROTOCOL)
        return super().reducer_override(obj)
