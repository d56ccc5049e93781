"""The results of consumers, one after the other, until all items are done."""

import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from distribute_challenge.core import clock
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.item_queue import ItemQueue
from distribute_challenge.queues.queue import Queue

__all__ = ["results_for", "results_until_done"]

MOST_AT_ONCE = 1000
MOST_RESULTS = 10_000  # Results that wait until the program reads them; a guess.


def results_for(owner: object, engine: ExecutionBackend) -> Queue[Any]:
    """Return a queue for the results of consumers, which ends when its owner is deleted.

    Args:
        owner: The consumers. Their calls, and iterators of results, hold a reference to it.
        engine: The backend of the queue.
    """
    # A program that runs its consumers itself reads results only when all are there.
    limit = MOST_RESULTS if engine.concurrency else 0
    results: Queue[Any] = Queue(maxsize=limit, backend=engine)
    weakref.finalize(owner, results.opened().abandon).atexit = False
    return results


def results_until_done(
    join: Callable[[Callable[[], bool]], object], results: ItemQueue
) -> Iterator[Any]:
    """Yield results until all items are done.

    A result is put before its item counts as done. So if all are done, and no result waits, there
    will be no other.

    Args:
        join: Waits until all items are done. Its argument tells whether to wait on.
        results: The queue of the results. They are acknowledged when they are yielded.
    """
    waiting = uuid.uuid4().hex

    def wake() -> None:
        """Wake the loop below when all items are done."""
        with suppress(ShutDown, SystemFailureError):  # The loop below meets them, too.
            join(lambda: not left.is_set())
            ended.set()
            results.stop(waiting, 1)
        ended.set()

    def goes_on() -> bool:
        return not ended.is_set()

    ended, left = threading.Event(), threading.Event()
    threading.Thread(target=wake, name="distribute_challenge results", daemon=True).start()
    try:
        while True:
            received = results.take(MOST_AT_ONCE, None, goes_on, consumers=waiting)
            if received is None:
                break
            yield from results.accept(received, is_early=True)
        while (received := results.take(MOST_AT_ONCE, clock.monotonic())) is not None:
            yield from results.accept(received, is_early=True)
    finally:
        left.set()
