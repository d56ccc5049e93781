"""A result that has come, and that is unpickled when a caller asks for it."""

import threading
from collections.abc import Callable
from typing import Any

from distribute_challenge.core.forks import renew_in_children

__all__ = ["Unopened"]


class Unopened:
    """The result of a call, as its worker packed it.

    Most results of a graph only go to further calls. The client passes them on as they are: it need
    not have their classes, and spends no time on their content.

    Args:
        load: Unpickles the value; returns it, or a `Failure` if it cannot be unpickled.
        package: What is passed on to calls that need the value; None: they get the value itself,
            packed anew.

    Attributes:
        package: As given.
    """

    __slots__ = ("__weakref__", "_load", "_lock", "_outcome", "package")

    def __init__(self, load: Callable[[], Any], package: Any = None) -> None:
        self.package = package
        self._load: Callable[[], Any] | None = load
        self._lock = threading.Lock()
        self._outcome: Any = None
        renew_in_children(self)

    def outcome(self) -> Any:
        """Return the value, or the `Failure` to unpickle it; it is unpickled once."""
        with self._lock:
            if self._load is not None:
                self._outcome = self._load()
                self._load = None
            return self._outcome

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
