"""What consumers have to do: plain values that travel to the workers, and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from distribute_challenge.core.options import CallOptions
from distribute_challenge.distributable import Distributable

if TYPE_CHECKING:
    from distribute_challenge.queues.queue import Queue

__all__ = ["Consumed", "ConsumerWork", "run_call"]


@dataclass(frozen=True, slots=True)
class ConsumerWork:
    """What each of some consumers does.

    Args:
        id: Id of the consumers, by which it is stopped.
        queue: Where the items come from.
        function: It is called with each item.
        name: Its name.
        options: How to call it: its time limit and its retries.
        results: Where its values go; None: they are dropped.
        concurrency: How many items one consumer works on at the same time. 1: the function is
            called in the consumer's own thread.
        is_early: Whether an item is never delivered again once a consumer has taken it.
    """

    id: str
    queue: "Queue[Any]"
    function: Callable[..., Any]
    name: str
    options: CallOptions
    results: "Queue[Any] | None"
    concurrency: int
    is_early: bool


class Consumed(NamedTuple):
    """What a consumer has done in one turn.

    Args:
        done: Number of items with which the function was called, and returned.
        failed: Number of items with which it raised, or that could not be unpickled.
        is_over: Whether the queue was shut down, and all its items are done.
        failure: The traceback of the first item that failed.
    """

    done: int
    failed: int
    is_over: bool
    failure: str = ""


def run_call(item: Any) -> Any:
    """Run an item that is a call; the function of consumers without a function.

    Raises:
        TypeError: The item is no call.
        BaseException: The exception that the call raised.
    """
    if not isinstance(item, Distributable):
        raise TypeError(
            f"consumers without a function run items that are calls, and this one is of the type "
            f"{type(item).__name__}: put f(x) for a decorated f, or give the consumers a function"
        )
    return item.compute()
