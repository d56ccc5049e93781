"""Copies interpreter settings of a script to the processes that run its calls."""

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
    """Limits and settings that can be applied to a process at any time.

    Attributes:
        recursion_limit: As for `sys.setrecursionlimit`.
        int_digits: As for `sys.set_int_max_str_digits`.
        decimal: The context of `decimal`, as plain values; None: Python's default context.
        start_method: The start method of `multiprocessing`; None: Python's default.
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
        """Return the current settings of this process, and of `decimal` in this thread."""
        return cls(
            sys.getrecursionlimit(),
            sys.get_int_max_str_digits(),
            _decimal_context(),
            multiprocessing.get_start_method(allow_none=True),
            _has_django(),
        )

    def apply(self) -> None:
        """Apply the settings to this process; the context of `decimal` to this thread."""
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
    """Return the command line options that start another interpreter like this one.

    They include ``-O``, ``-W``, ``-X`` and ``-I``, but never ``-S``: an interpreter without
    ``site`` would not find this library.
    """
    # The options that `multiprocessing` gives to the processes that it starts, and all -X options.
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
    """Set up Django as the script has done: no module with a model can be imported without it."""
    try:
        import_module("django").setup()
    except Exception:
        # Calls that need Django will fail; other calls can still run.
        logger.exception(
            "cannot set up Django in process %d, as it is in the program that made the call",
            os.getpid(),
        )
