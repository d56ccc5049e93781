"""Waits for a queue in a thread, while an event loop goes on."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(
    work: Callable[[Callable[[], bool]], T], drop: Callable[[T], object] = lambda _: None
) -> T:
    """Run a function that waits in a thread of its own, and return its result.

    Not in the loop's executor: a few dozen waits would occupy all its threads.

    Args:
        work: The function. Its argument tells whether the result is still wanted.
        drop: Called with the result if the caller was cancelled meanwhile.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def deliver(value: Any, error: BaseException | None) -> None:
        if result.cancelled():
            if error is None:
                drop(value)
        elif error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)

    def run() -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            value = work(lambda: not result.cancelled())
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, value, failure)
        except RuntimeError:  # The loop was closed, and with it all that waited.
            if failure is None:
                drop(value)

    threading.Thread(target=run, name="distribute_challenge queue", daemon=True).start()
    try:
        return await result
    except asyncio.CancelledError:
        # It was cancelled after the result had come.
        if result.done() and not result.cancelled() and result.exception() is None:
            drop(result.result())
        raise
