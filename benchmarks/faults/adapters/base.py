"""What a client does with each system."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

__all__ = ["Adapter"]


class Adapter(ABC):
    """One client, connected when it is made.

    Attributes:
        packages: Distributions whose versions belong to what was found.
    """

    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        """Start a call, of one of `benchmarks.faults.functions`; return what the system gives for
        it.
        """

    @abstractmethod
    def is_done(self, call: Any) -> bool:
        """Whether `result` would return or raise without waiting."""

    @abstractmethod
    def result(self, call: Any) -> int:
        """The call's value, or its exception."""

    def cancel(self, call: Any) -> None:
        """Stop a call that runs, by the strongest means that the system documents.

        Raises:
            NotImplementedError: It has none.
        """
        raise NotImplementedError("cannot cancel a call")

    def submit_detached(self, function: Callable[..., int], arguments: list[Any]) -> str:
        """Start a call that outlives this client; return what `attach` takes.

        Raises:
            NotImplementedError: Calls end with their client.
        """
        raise NotImplementedError("calls end with the client that made them")

    def attach(self, name: str) -> Any:
        """The call of another client, as `submit` gives it."""
        raise NotImplementedError("calls end with the client that made them")
