"""Calls that go to a worker in the same message as the calls whose results they need.

    message: call 0, call 1, ... ── the results, copied ──► the calls that follow

The client finds them (`Follower`), and the message says which they are (`Following`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from distribute_challenge.core.schema import flag, number_up_to, text

if TYPE_CHECKING:
    from distribute_challenge.core.futures import Future
    from distribute_challenge.core.messages import Task
    from distribute_challenge.core.running_graphs import RunningGraph
    from distribute_challenge.errors import Attempt

__all__ = ["Follower", "Following", "is_following"]


class Following(NamedTuple):
    """Calls of one function, which stand in a message behind the calls whose results they need.

    Args:
        function: Digest of the function.
        name: Readable name for logs.
        stays: As in `Batch`.
        calls: Number of calls.
    """

    function: str
    name: str
    stays: bool
    calls: int


def is_following(value: Any) -> bool:
    """Whether a value from the header of a batch describes calls that follow."""
    match value:
        case [function, name, stays, calls]:
            return text(function) and text(name) and flag(stays) and _number(calls)
    return False


_number = number_up_to()


class Follower(ABC):
    """A call that waits for other calls, as an engine sees it; `WaitingCall` is one.

    It listens to the futures of the calls that it needs (`LazyFuture.listeners`).

    Attributes:
        missing: How many of the calls that it needs have not ended.
        graph: The graph with which it was submitted; None: it was submitted alone.
    """

    missing: int
    graph: "RunningGraph | None" = None

    @abstractmethod
    def task_to_follow(self, sender: object) -> "Task | None":
        """Return the call if it waits, and its engine sends by this sender.

        Its ``arguments`` are not yet what the engine will get.
        """

    @abstractmethod
    def stands_for(self, future: "Future[Any]") -> bool:
        """Whether this call was given to its engine, which made this future for it."""

    @abstractmethod
    def follow(self, numbers: "Mapping[int, int]") -> "Task | None":
        """Take the call out of those that wait, to send it with calls that it needs.

        Args:
            numbers: The numbers of the calls in the message, by the `id` of their futures.

        Returns:
            The task, whose arguments name the numbers. The engine gives the future that it makes of
            it to `sent`. None: the call does not wait any more, or needs a call that is not there.
        """

    @abstractmethod
    def sent(self, inner: "Future[Any]") -> None:
        """Take over what the engine's future gives."""

    @abstractmethod
    def give_back(self, inner: "Future[Any]", attempts: "tuple[Attempt, ...]") -> None:
        """Let the call wait again: it did not run beside the calls that it needs.

        Args:
            inner: The engine's future, which does not end by itself now.
            attempts: The attempts of the call so far that brought no outcome.
        """
