"""Environment variables that this process has for as long as a cluster runs."""

import os
from collections.abc import Mapping

__all__ = ["TemporaryVariables"]


class TemporaryVariables:
    """Variables through which this process's clients get what a cluster's workers have.

    Args:
        values: Values by the variables' names.

    Guarantees: `restore` puts back what was there before `set`, and may be called at any time, and
    again. A variable whose value was changed since is left alone.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._before: dict[str, str | None] = {}

    def set(self) -> None:
        """Set the variables, for this process and the processes that it starts."""
        for name, value in self._values.items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def restore(self) -> None:
        """Give the variables back the values that they had before."""
        while self._before:
            name, before = self._before.popitem()
            if os.environ.get(name) != self._values[name]:
                continue
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
