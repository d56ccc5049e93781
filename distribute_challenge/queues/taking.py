"""How a consumer takes items: until it is stopped, or all items of a queue that was shut down are done."""

import random
from collections.abc import Callable
from math import inf

from distribute_challenge.core import clock
from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.execution_backends.item_queue import ItemQueue, Received
from distribute_challenge.queues.work import ConsumerWork

__all__ = ["Turn", "take_items"]

# How much longer than an item a turn is, if items run side by side: a sixth of the time, fewer and
# fewer of them run.
TURN_OF_ITEMS = 5
LOOK_EVERY = 1.0  # Seconds between two looks for items of lost consumers, after a shutdown.


class Turn:
    """The time that a consumer has before other calls may have its worker.

    Args:
        seconds: About how long it is; 0: until the queue is empty.
        idle: About how long it waits for an item.
    """

    def __init__(self, seconds: float, idle: float) -> None:
        # Not all consumers that began together end together.
        factor = random.uniform(0.75, 1.25)
        self._began = clock.monotonic()
        self._until = self._began + seconds * factor if seconds else inf
        self._idle = idle * factor

    @property
    def waits(self) -> bool:
        """Whether the consumer waits for items; if not, it ends when there is none."""
        return self._idle > 0

    def lengthen(self, seconds: float) -> None:
        """Make the turn long beside an item, as the consumer takes no others while its last ones run.

        Args:
            seconds: How long the item took, or has taken until now.
        """
        self._until = max(self._until, self._began + TURN_OF_ITEMS * seconds)

    def is_over(self) -> bool:
        """Whether the consumer takes no more items."""
        return clock.monotonic() >= self._until

    def waits_until(self) -> float:
        """Return when the consumer stops waiting for an item that it asks for now."""
        return min(self._until, clock.monotonic() + self._idle)


def take_items(
    work: ConsumerWork,
    shared: ItemQueue,
    most: int,
    until: float,
    is_wanted: Callable[[], bool] = lambda: True,
    *,
    singly: bool = False,
) -> Received | None:
    """Take items, and wait until there is one.

    Args:
        work: What the consumer does.
        shared: The queue.
        most: How many items at most.
        until: When to stop waiting, by `clock.monotonic`.
        is_wanted: Whether the caller still wants items. It is asked before they are taken.
        singly: As for `ItemQueue.take`.

    Returns:
        Items; None if time is over, or the consumers were stopped.

    Raises:
        ShutDown: The queue was shut down, and all its items are done. Until then, those of
            consumers that are lost may come back.
    """

    def goes_on() -> bool:
        return is_wanted() and not shared.is_stopped(work.id)

    while True:
        try:
            return shared.take(
                most, until, goes_on, singly=singly, once=work.is_early, consumers=work.id
            )
        except ShutDown:
            if shared.join(min(until, clock.monotonic() + LOOK_EVERY), goes_on):
                raise
            if clock.monotonic() >= until or not goes_on():
                return None
