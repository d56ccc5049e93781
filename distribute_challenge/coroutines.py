"""Running an `async def` call to its end from ordinary code, whatever loop may be running already."""

import asyncio
import atexit
import concurrent.futures
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from distribute_challenge.interruption import loops
from distribute_challenge.time_limit import OverdueError

__all__ = ["run_to_completion"]

R = TypeVar("R")

_of_this_thread = threading.local()


def run_to_completion(coroutine: Coroutine[Any, Any, R], seconds: float | None = None) -> R:
    """The coroutine's result.

    Each thread keeps one event loop for all its calls. Where a loop runs in this thread already (a notebook, the
    `local` backend called from asyncio), another thread does it, with this one's context.

    Args:
        coroutine: What to run.
        seconds: How long it may take. It is cancelled where it waits, which no `time_limit` outside of its loop can do
            in every thread; None: no limit.

    Raises:
        OverdueError: It took longer; the `time_limit` around the call turns it into its own error.

    Example:
        >>> import asyncio
        >>> run_to_completion(asyncio.sleep(0, "done"))
        'done'
    """
    if seconds is not None:
        coroutine = _limited(coroutine, seconds)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_in_this_thread(coroutine)
    context = contextvars.copy_context()
    with concurrent.futures.ThreadPoolExecutor(1, "distribute_challenge coroutine") as thread:
        return thread.submit(context.run, asyncio.run, coroutine).result()


async def _limited(coroutine: Coroutine[Any, Any, R], seconds: float) -> R:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await coroutine
    except TimeoutError:
        if limit.expired():
            raise OverdueError from None
        raise


def _run_in_this_thread(coroutine: Coroutine[Any, Any, R]) -> R:
    thread = threading.get_ident()
    try:
        kept = _kept()
        loops[thread] = kept.runner.get_loop()
        return kept.runner.run(coroutine)
    except Exception:
        raise
    except BaseException:
        # A time limit or an exit: the coroutine may be half done, and must not go on in the next call.
        _close()
        raise
    finally:
        loops.pop(thread, None)


def _kept() -> "_Kept":
    # Held by its thread alone and by no variable of a frame: it goes with the thread, not with some traceback.
    if not hasattr(_of_this_thread, "kept"):
        _of_this_thread.kept = _Kept()
    kept: _Kept = _of_this_thread.kept
    return kept


class _Kept:
    """A thread's event loop, given back when the thread ends."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self._loop = self.runner.get_loop()

    def __del__(self) -> None:
        # Not the runner's own `close`, which runs the loop: this may be any thread, with a loop that runs.
        self._loop.close()


def _close() -> None:
    kept: _Kept | None = vars(_of_this_thread).pop("kept", None)
    if kept is not None:
        kept.runner.close()


# The main thread's, while the interpreter is still whole.
atexit.register(_close)
