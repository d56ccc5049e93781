"""The interface through which a client uses a system."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

__all__ = ["Adapter"]


class Adapter(ABC):
    """A client of one system, which connects when it is made.

    Attributes:
        packages: Distributions whose versions are recorded with the results.
    """

    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        """Start a call of one of `benchmarks.faults.functions`.

        Returns:
            What the system gives for the call, such as a future.
        """

    @abstractmethod
    def is_done(self, call: Any) -> bool:
        """Return whether `result` would return or raise without waiting."""

    @abstractmethod
    def result(self, call: Any) -> int:
        """Return the call's value, or raise its exception."""

    def cancel(self, call: Any) -> None:
        """Stop a running call, by the strongest means that the system documents.

        Raises:
            NotImplementedError: The system has no such means.
        """
        raise NotImplementedError("cannot cancel a call")

    def submit_detached(self, function: Callable[..., int], arguments: list[Any]) -> str:
        """Start a call that goes on when this client is gone.

        Returns:
            The call's name, for `attach`.

        Raises:
            NotImplementedError: Calls end with their client.
        """
        raise NotImplementedError("calls end with the client that made them")

    def attach(self, name: str) -> Any:
        """Return the detached call of another client, as `submit` returns one.

        Raises:
            NotImplementedError: Calls end with their client.
        """
        raise NotImplementedError("calls end with the client that made them")
