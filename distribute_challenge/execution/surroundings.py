"""What a script has set for itself in its interpreter, and giving it to processes that run the
script's calls.
"""

import multiprocessing
import os
import subprocess
import sys
from importlib import import_module
from typing import Any, NamedTuple, Self

from distribute_challenge.log import logger

__all__ = ["Surroundings", "interpreter_flags"]

_OF_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


class Surroundings(NamedTuple):
    """Limits and settings that a process can be given at any time.

    Attributes:
        recursion_limit: As `sys.setrecursionlimit` takes it.
        int_digits: As `sys.set_int_max_str_digits` takes it.
        decimal: The context of `decimal`, as plain values; None: the one that Python begins with.
        start_method: How `multiprocessing` starts processes; None: in Python's own way.
        has_django: Whether Django has been set up, from a settings module.

    Examples:
        >>> here = Surroundings.of_this_process()
        >>> here.apply()
        >>> Surroundings(*here) == Surroundings.of_this_process()
        True
    """

    recursion_limit: int
    int_digits: int
    decimal: dict[str, Any] | None
    start_method: str | None
    has_django: bool

    @classmethod
    def of_this_process(cls) -> Self:
        """What is set now, in this thread."""
        return cls(
            sys.getrecursionlimit(),
            sys.get_int_max_str_digits(),
            _decimal_context(),
            multiprocessing.get_start_method(allow_none=True),
            _has_django(),
        )

    def apply(self) -> None:
        """Set the same in this process; the context of `decimal` in this thread."""
        sys.setrecursionlimit(self.recursion_limit)
        sys.set_int_max_str_digits(self.int_digits)
        if self.decimal is not None:
            import decimal

            values = {
                **self.decimal,
                "traps": [getattr(decimal, name) for name in self.decimal["traps"]],
            }
            decimal.setcontext(decimal.Context(**values))
        multiprocessing.set_start_method(self.start_method, force=True)
        if self.has_django:
            _set_up_django()


def interpreter_flags() -> list[str]:
    """Command line options that make another interpreter like this one: ``-O``, ``-W``, ``-X``,
    ``-I`` and more.

    Not ``-S``: an interpreter without ``site`` would not find this library.
    """
    # What `multiprocessing` gives to the processes that it starts, and all -X options besides.
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    for name, value in sys._xoptions.items():
        option = name if value is True else f"{name}={value}"
        if option not in flags:
            flags += ["-X", option]
    return [flag for flag in flags if flag != "-S"]


def _decimal_context() -> dict[str, Any] | None:
    if "decimal" not in sys.modules:
        return None
    import decimal

    context, first = decimal.getcontext(), decimal.Context()
    found, usual = (
        {name: getattr(each, name) for name in _OF_CONTEXT}
        | {"traps": [signal.__name__ for signal, is_trapped in each.traps.items() if is_trapped]}
        for each in (context, first)
    )
    return None if found == usual else found


def _has_django() -> bool:
    registry = sys.modules.get("django.apps")
    return (
        registry is not None
        and "DJANGO_SETTINGS_MODULE" in os.environ
        and bool(registry.apps.ready)
    )


def _set_up_django() -> None:
    """As the script has done: without it, no module with a model can be imported."""
    try:
        import_module("django").setup()
    except Exception:
        # The calls that need it will fail, and the others need not.
        logger.exception(
            "cannot set up Django in process %d, as it is in the program that made the call",
            os.getpid(),
        )
