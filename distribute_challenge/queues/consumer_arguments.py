"""Checks of the arguments of `Consumers`."""

import functools
import inspect
import uuid
from collections.abc import Callable
from typing import Any

from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.signature import function_name
from distribute_challenge.errors import BackendError, OptionError
from distribute_challenge.execution.run import inside_call
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.registry import check_honoured, resolve
from distribute_challenge.queues.arguments import checked_count
from distribute_challenge.queues.queue import Queue
from distribute_challenge.queues.work import ConsumerWork, run_call

__all__ = ["call_options", "checked_engine", "checked_work"]


def checked_engine(queue: Any) -> ExecutionBackend:
    """Return the engine of a queue, on which its consumers run.

    Raises:
        BackendError: This is a call.
        OptionError: It is no `Queue`.
    """
    if not isinstance(queue, Queue):
        raise OptionError(
            f"{queue!r} is no queue that workers can reach: expected a "
            f'distribute_challenge.Queue, as in Queue("pictures")'
        )
    if inside_call():
        raise BackendError(
            "consumers are calls that the program makes again and again, and a call inside a call "
            "runs in place: make the consumers in the program, or take the items here by get()"
        )
    return queue.engine()


def checked_work(
    queue: Queue[Any],
    function: Any,
    results: Any,
    concurrency: Any,
    ack: Any,
    engine: ExecutionBackend,
) -> ConsumerWork:
    """Return what each consumer does.

    Args:
        queue: As for `Consumers`, and so are the others, except for these:
        function: As given.
        results: A queue, or None.
        concurrency: As given.
        ack: As given.
        engine: The engine of the queue.

    Raises:
        OptionError: One of them is wrong.
    """
    if not isinstance(results, Queue | None):
        raise OptionError(f"results={results!r}: expected a Queue, True or None")
    if results is not None and results.engine() is not engine:
        raise OptionError(
            "results: this queue is on another backend than the items: open both with the same one"
        )
    options, called = _taken_apart(function)
    _check_options(options, engine)
    if checked_count("concurrency", concurrency) > 1 and not _is_coroutine_function(called):
        raise OptionError(
            f"concurrency={concurrency}: {function_name(called)} is no coroutine function, so a "
            f"consumer works on one item after the other: write `async def`, or ask for more "
            f"consumers"
        )
    if ack not in ("late", "early", None):
        raise OptionError(f'ack={ack!r}: expected "late", "early" or None')
    if options.at_most_once and ack == "late":
        raise OptionError(
            'ack="late" with at_most_once=True: an item of a worker that dies is done again; '
            "leave one of them out"
        )
    is_early = ack == "early" or options.at_most_once or (ack is None and queue.ack == "early")
    return ConsumerWork(
        uuid.uuid4().hex,
        queue,
        called,
        function_name(called),
        options.updated(backend=None, setup=None),
        results,
        concurrency,
        is_early,
    )


def call_options(function: Any) -> CallOptions:
    """Return the options of the calls that are consumers; those of a call hold for each item."""
    options, _ = _taken_apart(function)
    return CallOptions(queue=options.queue, priority=options.priority, setup=options.setup)


def _taken_apart(function: Any) -> tuple[CallOptions, Callable[..., Any]]:
    if function is None:
        return CallOptions(), run_call
    if getattr(type(function), "__distributable__", False):
        return function.options, function.plain()
    if not callable(function):
        raise OptionError(f"{function!r} cannot be called: expected a function, or None")
    return CallOptions(), function


def _check_options(options: CallOptions, engine: ExecutionBackend) -> None:
    if options.backend is not None and resolve(options.backend) is not engine:
        raise OptionError(
            f"backend={options.backend!r}: consumers run on the backend of their queue, and this "
            f"is another one: give the queue this backend, or leave it out of the function"
        )
    if options.queue_timeout is not None:
        raise OptionError(
            f"queue_timeout={options.queue_timeout:g}: an item waits in its queue until a consumer "
            f"is free: leave it out, as in function.with_options(queue_timeout=None)"
        )
    given = frozenset(options.given()) - {"backend"}
    if given:
        check_honoured(engine, options, given)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(inspect.unwrap(function))
