"""The options of a function's calls: one frozen value, checked when it is made."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

from distribute_challenge.core.setup import Setup
from distribute_challenge.core.signature import function_name
from distribute_challenge.errors import OptionError
from distribute_challenge.settings import DEFAULT_QUEUE

__all__ = ["CallOptions"]

HIGHEST_PRIORITY = 9


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options of a decorated function.

    Args:
        backend: Name of a backend, or the backend itself; None: the default one.
        timeout: Seconds that one attempt may run on its worker; None: no limit.
        retries: How often a call that raised is tried again.
        retry_on: Exception class or classes after which a call is tried again.
        queue: Celery queue that carries the calls.
        priority: 0 to 9, higher first.
        queue_timeout: Seconds within which a worker has to begin the call; None: no limit.
        at_most_once: Never run a call twice: a call that may have begun when its worker died fails,
            and is not tried again.
        setup: A function that each process runs once, before the first call; None: there is none.

    Raises:
        OptionError: A value is out of its range; the message names it.

    Examples:
        >>> CallOptions(retries=2).updated(timeout=1.5)  # doctest: +NORMALIZE_WHITESPACE
        CallOptions(backend=None, timeout=1.5, retries=2, retry_on=(<class 'Exception'>,), queue='distribute_challenge', priority=0,
                    queue_timeout=None, at_most_once=False, setup=None)
    """

    backend: Any = None
    timeout: float | None = None
    retries: int = 0
    retry_on: Any = (Exception,)
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    queue_timeout: float | None = None
    at_most_once: bool = False
    setup: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "queue_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and not (_is_number(seconds) and 0 < seconds < inf):
                raise OptionError(
                    f"{name}={seconds!r}: expected seconds above 0, or None for no limit"
                )
        if not (_is_whole(self.retries) and self.retries >= 0):
            raise OptionError(f"retries={self.retries!r}: expected a whole number of at least 0")
        classes = self.retry_on if isinstance(self.retry_on, tuple | list) else (self.retry_on,)
        if not all(isinstance(item, type) and issubclass(item, BaseException) for item in classes):
            raise OptionError(
                f"retry_on={self.retry_on!r}: expected an exception class or a tuple of them, as "
                f"in retry_on=OSError"
            )
        object.__setattr__(self, "retry_on", tuple(classes))
        if not (isinstance(self.queue, str) and self.queue.strip()):
            raise OptionError(
                f"queue={self.queue!r}: expected the name of a queue, as in queue='gpu'"
            )
        if not (_is_whole(self.priority) and 0 <= self.priority <= HIGHEST_PRIORITY):
            raise OptionError(
                f"priority={self.priority!r}: expected 0 to {HIGHEST_PRIORITY}, higher runs first"
            )
        if not isinstance(self.at_most_once, bool):
            raise OptionError(f"at_most_once={self.at_most_once!r}: expected True or False")
        if not (self.setup is None or callable(self.setup)):
            raise OptionError(
                f"setup={self.setup!r}: expected a function that can be called without arguments, "
                f"as in setup=load_model"
            )
        function = self.setup.function if isinstance(self.setup, Setup) else self.setup
        if function is not None and hasattr(type(function), "__distributable__"):
            name = function_name(function)
            raise OptionError(
                f"{name} is decorated, so that its calls run elsewhere, and what sets a process up "
                f"runs in that process: give {name}.local"
            )
        if self.at_most_once and self.retries:
            raise OptionError(
                f"at_most_once=True with retries={self.retries}: a call that is tried again runs "
                f"more than once; choose one"
            )

    def updated(self, **changes: Any) -> "CallOptions":
        """Return a copy with other values for some options.

        Raises:
            OptionError: A name is no option, or a value is out of range.
        """
        names = [field.name for field in fields(self)]
        for name in changes:
            if name not in names:
                raise OptionError(f"{name!r} is no option; the options are {', '.join(names)}")
        return replace(self, **changes)

    def given(self) -> dict[str, Any]:
        """Return the options that differ from the defaults, by name.

        Examples:
            >>> CallOptions(retries=2).given()
            {'retries': 2}
        """
        default = CallOptions()
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if self._differs(default, field.name)
        }

    def _differs(self, other: "CallOptions", name: str) -> bool:
        value, usual = getattr(self, name), getattr(other, name)
        # These two may be any objects, so their `==` is not trusted.
        return value is not usual if name in ("backend", "setup") else bool(value != usual)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
