"""What the arguments of an executor mean: which engine it gets, and which options its calls."""

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.setup import Setup
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends import sized
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.registry import (
    Choice,
    check_honoured,
    is_named,
    resolve,
)

__all__ = ["check_number", "check_options", "chosen", "with_initializer"]


def chosen(
    max_workers: int | None, backend: Choice
) -> tuple[ExecutionBackend, int | None, Callable[[], None] | None]:
    """Return an executor's engine, how many calls it may have at a time, and how to free it.

    Args:
        max_workers: As for `Executor`.
        backend: A backend, or the address of a cluster.
    """
    if isinstance(backend, str) and "://" in backend:
        # Imported here, because few executors need it.
        from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

        own = CeleryExecutionBackend(backend)
        return own, max_workers, own.close
    engine = resolve(backend)
    if max_workers is not None and is_named(engine):
        leased = sized.lease(engine, max_workers)
        if leased is not None:
            return leased, None, partial(sized.give_back, leased)
    return engine, max_workers, None  # It belongs to the program, or to all.


def with_initializer(
    options: CallOptions, initializer: Callable[..., object] | None, initargs: Iterable[Any]
) -> tuple[CallOptions, str]:
    """Return the options with the initializer as their setup, and its key; empty: there is none."""
    if initializer is None:
        return options, ""
    if not callable(initializer):
        raise TypeError(f"initializer={initializer!r}: expected a function")
    if options.setup is not None:
        raise OptionError("got setup and initializer, which are the same: give one of them")
    key = os.urandom(16).hex()
    return options.updated(setup=Setup(initializer, tuple(initargs), key)), key


def check_options(engine: ExecutionBackend, options: CallOptions, limit: int | None) -> None:
    """Refuse options that the engine, or the limit of calls, does not allow.

    Raises:
        OptionError: One of them is not kept.
    """
    check_honoured(engine, options, frozenset(options.given()))
    if limit is not None and options.queue_timeout is not None:
        raise OptionError(
            f"max_workers={limit} and queue_timeout={options.queue_timeout:g}: calls wait in the "
            f"executor for their turn, and the backend begins to count when it gets them; leave "
            f"one of the two out"
        )


def check_number(name: str, value: Any) -> None:
    """Refuse what is no whole number of at least 1, with the errors of the standard library.

    Args:
        name: Name of the argument.
        value: Its value; None is allowed.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is below 1.
    """
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r}: expected a whole number of at least 1")
    if value < 1:
        raise ValueError(f"{name} must be greater than 0, got {value}")
