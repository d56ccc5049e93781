"""Loads the package of a system when its engine is made."""

from functools import cache
from importlib import import_module
from types import ModuleType

from distribute_challenge.core.interrupts import at_exit
from distribute_challenge.errors import BackendError
from distribute_challenge.execution_backends.registry import close_at_exit

__all__ = ["needed"]


@cache
def needed(package: str, extra: str) -> ModuleType:
    """Return a package.

    Args:
        package: Its name.
        extra: The extra of this library that brings it.

    Raises:
        BackendError: It is not installed.
    """
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the backend {extra!r} needs {error.name}, which is not installed: "
            f'pip install "distribute-challenge[{extra}]"'
        ) from error
    # The package has registered its own clean-up now, which runs after this one: the engine has to
    # stop its calls while the connection is open.
    at_exit(close_at_exit)
    return module
