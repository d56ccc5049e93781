"""What has to run once in each process before the first call of a function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Setup"]


@dataclass(frozen=True, slots=True)
class Setup:
    """A function with its arguments, which each process runs once.

    `compute_this` makes one of its option ``setup``, and `Executor` of its ``initializer``.

    Args:
        function: The function.
        args: Its positional arguments.
        key: A process runs setups with equal keys once. Empty: the key is made of the pickled
            function, and of the project's modules that it uses.

    Examples:
        >>> Setup(max, (2, 3))()
        3
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    key: str = ""

    def __call__(self) -> Any:
        return self.function(*self.args)
