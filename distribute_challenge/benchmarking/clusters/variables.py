"""Variables of this process that hold for as long as a cluster does."""

import os
from collections.abc import Mapping

__all__ = ["TemporaryVariables"]


class TemporaryVariables:
    """Hands to this process's clients what a cluster's workers have been given.

    Args:
        values: Name to value.

    Guarantees: `restore` puts back what was there before `set`, and may be called at any time, and
    again. A variable that has been given another value since is left alone.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._before: dict[str, str | None] = {}

    def set(self) -> None:
        """Give the variables their values, for this process and those that it starts."""
        for name, value in self._values.items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def restore(self) -> None:
        """Give them back what they had."""
        while self._before:
            name, before = self._before.popitem()
            if os.environ.get(name) != self._values[name]:
                continue
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
