"""The user's exception, from the worker's frames to the client's `except` line.

It travels twice: as itself, and as plain text for the case that it cannot be rebuilt, here or there.
"""

import concurrent.futures
import os
import traceback
from types import TracebackType

from distribute_challenge.errors import RemoteError
from distribute_challenge.serialisation.pickling import dumps, dumps_plain, loads

__all__ = ["dumps_error", "loads_error"]

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_ASYNCIO = os.path.join(os.path.dirname(os.__file__), "asyncio") + os.sep
_FUTURES = os.path.dirname(concurrent.futures.__file__) + os.sep


def dumps_error(error: BaseException) -> bytes:
    """Pickle what a call raised, with the part of its traceback that is the user's."""
    error = error.with_traceback(_users_frames(error.__traceback__))
    kind = type(error)
    text = "".join(traceback.format_exception(error))
    described = (f"{kind.__module__}.{kind.__qualname__}", _text(error), text)
    packed = dumps_plain((_rebuildable(error), *described))
    assert packed is not None  # Bytes and strings only.
    return packed


def loads_error(data: bytes | memoryview) -> BaseException:
    """The exception itself, or a `RemoteError` where this process cannot rebuild it."""
    pickled, type_name, text, traceback_text = loads(data)
    if pickled is not None:
        try:
            error = loads(pickled)
        except Exception:
            # Its class lives in a module that only the worker has: the text has to do.
            pass
        else:
            assert isinstance(error, BaseException)
            return error
    return RemoteError(type_name, text, traceback_text)


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames above the user's function: this library's, and of what runs coroutines for it."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith((_PACKAGE, _ASYNCIO, _FUTURES)):
        frames = frames.tb_next
    return frames


def _rebuildable(error: BaseException) -> bytes | None:
    """The pickled exception, if it comes back as what it was; None if it does not."""
    if not isinstance(error, Exception):
        # SystemExit or KeyboardInterrupt of a call must not end the client.
        return None
    for alone in (False, True):
        if alone:
            # Without those that led to it: one of them may be what cannot be pickled.
            error.__cause__ = error.__context__ = None
        try:
            data = dumps(error, "the exception").data
            if type(loads(data)).__qualname__ == type(error).__qualname__:
                return data
        except Exception:
            continue
    return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as reason:
        return f"<its text cannot be had: {type(reason).__name__}>"
