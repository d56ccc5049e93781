"""Running an `async def` call to its end from ordinary code, whatever loop may be running already."""

import asyncio
import concurrent.futures
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_to_completion"]

R = TypeVar("R")

_runners = threading.local()


def run_to_completion(coroutine: Coroutine[Any, Any, R]) -> R:
    """The coroutine's result.

    Each thread keeps one event loop for all its calls. Where a loop runs in this thread already (a notebook, the
    `local` backend called from asyncio), another thread does it, with this one's context.

    Example:
        >>> import asyncio
        >>> run_to_completion(asyncio.sleep(0, "done"))
        'done'
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _runner().run(coroutine)
    context = contextvars.copy_context()
    with concurrent.futures.ThreadPoolExecutor(1, "distribute_challenge coroutine") as thread:
        return thread.submit(context.run, asyncio.run, coroutine).result()


def _runner() -> asyncio.Runner:
    runner: asyncio.Runner | None = getattr(_runners, "runner", None)
    if runner is None:
        runner = _runners.runner = asyncio.Runner()
    return runner
