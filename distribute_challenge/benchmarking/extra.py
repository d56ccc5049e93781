"""Imports packages that only the benchmark needs, and says how to install missing ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from distribute_challenge.errors import BackendError

__all__ = ["INSTALL", "Lazily", "benchmarking_extra"]

INSTALL = "pip install docker matplotlib numpy psutil"


@contextmanager
def benchmarking_extra() -> Iterator[None]:
    """Surround imports of packages that only the extra ``benchmarking`` brings.

    Raises:
        BackendError: A package is not installed. The text has the line that installs it.

    Examples:
        >>> with benchmarking_extra():
        ...     import no_such_package
        Traceback (most recent call last):
        ...
        distribute_challenge.errors.BackendError: the benchmark needs no_such_package, which is not installed:
        pip install docker matplotlib numpy psutil
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise BackendError(
            f"the benchmark needs {error.name}, which is not installed:\n{INSTALL}"
        ) from error


class Lazily:
    """A stand-in for a package of the extra, which is imported at the first use.

    So modules can be imported, and ``--help`` can be shown, where the extra is missing.

    Args:
        name: Name of the package.

    Raises:
        BackendError: The package is not installed; raised at the first use.

    Examples:
        >>> Lazily("math").sqrt(4)
        2.0
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        with benchmarking_extra():
            return getattr(import_module(self._name), attribute)
