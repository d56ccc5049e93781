"""`get`: computes a Dask graph."""

import warnings
from collections.abc import Hashable, Mapping
from dataclasses import fields
from typing import Any

from distribute_challenge.core.folding import folded
from distribute_challenge.core.futures import Future
from distribute_challenge.core.options import CallOptions
from distribute_challenge.dask.callbacks import Callbacks
from distribute_challenge.dask.calls import Calls
from distribute_challenge.dask.computation import Computation
from distribute_challenge.dask.pieces import Plan
from distribute_challenge.dask.task_spec import (
    GraphNode,
    Key,
    config,
    convert_legacy_graph,
    flatten,
    local_callbacks,
    nested_get,
)
from distribute_challenge.dask.window import Window
from distribute_challenge.distributable import Distributable
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.registry import Choice, resolve
from distribute_challenge.graph.submission import Submission

__all__ = ["get", "options_of", "started"]


def get(
    dsk: Any, keys: Any, *, backend: Choice = None, num_workers: int | None = None, **options: Any
) -> Any:
    """Compute the values of keys of a Dask graph; a scheduler for `dask.compute`.

    Dask passes the keyword arguments of ``compute`` on, as in ``x.compute(scheduler=get,
    retries=2)``.

    Args:
        dsk: A graph: a dictionary, a `HighLevelGraph`, or an object with ``__dask_graph__``.
        keys: A key, or a list of keys, which may be nested.
        backend: As for `Distributable.compute`.
        num_workers: Number of calls that may be out at the same time; None: as Dask is configured,
            and else as many as keep the workers busy.
        options: Options of `compute_this` for the calls.

    Returns:
        The value of the key, or a tuple in the shape of the list.

    Raises:
        KeyError: The graph lacks one of the keys.
        ValueError: The graph lacks a key that a task needs.
        RuntimeError: The graph has a cycle.
        OptionError: An option is unknown or out of range, or the backend does not support it.
        SerialisationError: A task cannot be pickled.
        SystemFailureError: The backend failed.
        BaseException: The exception that a task raised, with the worker's frames in its traceback,
            and with a note that names the task.

    Examples:
        >>> import dask
        >>> from distribute_challenge.dask import get
        >>> total = dask.delayed(sum)([dask.delayed(pow)(number, 2) for number in range(4)])
        >>> total.compute(scheduler=get)
        14
        >>> get({"x": 1, "y": (abs, -2), "z": (max, "x", "y")}, ["x", "z"])
        (1, 2)
    """
    with folded:
        asked = set(flatten(keys)) if isinstance(keys, list) else {keys}
        engine, call_options = resolve(backend), options_of(options)
        window = Window(engine.concurrency, _checked(num_workers))
        graph = _nodes(dsk)
        with local_callbacks() as active:
            callbacks, is_done = Callbacks(active), False
            try:
                callbacks.start(graph)
                if callbacks:
                    graph = convert_legacy_graph(graph)  # A callback may have replaced nodes.
                plan = Plan(graph, asked, joined=not callbacks.show_values)
                callbacks.start_state(graph, asked, plan.places(), plan.given)
                calls = Calls(plan, engine, call_options)
                computation = Computation(plan, calls, engine, window, callbacks)
                computation.run()
                is_done = True
            finally:
                callbacks.finish(failed=not is_done)
        return nested_get(keys, computation.values(asked))


def started(
    dsk: Any, keys: list[Key], *, backend: Choice = None, **options: Any
) -> list[Future[Any]]:
    """Submit the calls of a Dask graph, and return the futures of keys.

    Args:
        dsk: As for `get`.
        keys: The keys.
        backend: As for `get`.
        options: As for `get`.

    Raises:
        Exception: As for `get`, without those of tasks.
    """
    engine, call_options = resolve(backend), options_of(options)
    plan = Plan(_nodes(dsk), keys)
    calls = Calls(plan, engine, call_options)
    made: dict[Hashable, Future[Any] | Distributable[Any]] = dict(plan.given)
    for piece in plan.pieces.values():
        made[piece.key] = calls.call(piece, {need: made[need] for need in piece.needs})
    futures = []
    with Submission(engine) as submission:
        for key in keys:
            source = plan.source(key).key
            thing = made.get(source)
            if isinstance(thing, Distributable):
                futures.append(submission.submit(thing))
            elif thing is not None:
                futures.append(thing)
            else:
                future: Future[Any] = Future(str(key))
                future.resolve(plan.value(source))
                futures.append(future)
    return futures


def _nodes(dsk: Any) -> dict[Key, GraphNode]:
    graph = dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__()
    nodes: dict[Key, GraphNode] = convert_legacy_graph(graph)
    return nodes


def options_of(options: dict[str, Any]) -> CallOptions:
    """Return the options of calls; warn of others, which Dask's own schedulers ignore."""
    known = CallOptions()
    names = {each.name for each in fields(known)} - {"backend"}
    unknown = sorted(options.keys() - names)
    if unknown:
        warnings.warn(
            f"{', '.join(unknown)} has no effect: the options are backend, num_workers, "
            f"{', '.join(sorted(names))}",
            stacklevel=3,
        )
    return known.updated(**{name: value for name, value in options.items() if name in names})


def _checked(num_workers: Any) -> int | None:
    """Return the limit of calls that are out."""
    if num_workers is None:
        num_workers = config.get("num_workers", None)
    if num_workers is None:
        return None
    if not isinstance(num_workers, int) or num_workers < 1:
        raise OptionError(f"num_workers={num_workers!r}: expected a whole number of at least 1")
    return num_workers
