"""Make the `Task` that an engine takes from a function and its arguments."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future as AnyFuture
from typing import TYPE_CHECKING, Any

from distribute_challenge.core import clock
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.needs import collecting, is_need
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import (
    LARGE_STREAM,
    FindDepot,
    Parcel,
    PortableFunction,
    dumps,
    dumps_plain,
    pack,
)

if TYPE_CHECKING:
    from distribute_challenge.stores import Hold

__all__ = ["hold_of", "packed_chunk", "release_values", "single_task", "values_of"]


def single_task(
    portable: PortableFunction,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: CallOptions,
    find_depot: FindDepot | None = None,
    *,
    within: float = 0.0,
    shares_files: bool = False,
) -> Task:
    """Make a task of one call.

    The arguments are pickled now, so the caller may change them afterwards.

    Args:
        portable: The function.
        name: Its name, for messages.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: How to run it.
        find_depot: Returns the depot that keeps large values; None: they stay in the pickle.
        within: As for `PortableFunction.payload`.
        shares_files: As for `PortableFunction.payload`.

    Raises:
        SerialisationError: The function or an argument cannot be pickled; the message names the
            culprit.
        SystemFailureError: There is no room for its large values.
    """
    has_needs = was_waiting = _has_needs(args)
    if has_needs:
        args, has_needs = _with_small_values(args)
    data = None if has_needs else dumps_plain((args, kwargs))
    if data is not None and len(data) < LARGE_STREAM:
        function = portable.payload(find_depot=find_depot, within=within, shares_files=shares_files)
        return Task(
            function,
            data,
            options,
            clock.now(),
            0,
            values_of(function, find_depot) if function.values else (),
            is_next=was_waiting,
        )
    with collecting() as needs:
        data = dumps_plain((args, kwargs), needs=True) if has_needs else None
        if data is not None and len(data) < LARGE_STREAM:
            parcel = Parcel(data)
        else:
            needs.clear()
            parcel = _packed((args, kwargs), name, args, kwargs, find_depot)
    try:
        function = portable.payload(
            parcel.modules, find_depot, within=within, shares_files=shares_files
        )
    except BaseException:
        release_values(parcel.values, find_depot)
        raise
    return Task(
        function,
        parcel.data,
        options,
        clock.now(),
        0,
        parcel.values + values_of(function, find_depot),
        needs=tuple(needs),
    )


def _has_needs(args: tuple[Any, ...]) -> bool:
    """Whether some positional arguments are calls or futures, or lists that begin with one."""
    for value in args:
        if type(value) is list and value:
            value = value[0]
        if is_need(value):
            return True
    return False


def _with_small_values(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
    """Put small values in the places of the futures that have them, to save the way of `graph`.

    Args:
        args: Positional arguments.

    Returns:
        The arguments, and whether a future or call is left in the places where `_has_needs` looks.
    """
    copies: dict[int, list[Any]] = {}  # A list that stands there twice is one list for the call.
    found: list[Any] = []
    has_needs = False
    for value in args:
        if type(value) is list and value and is_need(value[0]):
            copy = copies.get(id(value))
            if copy is None:
                copy = copies[id(value)] = list(map(_small_value, value))
            found.append(copy)
            has_needs |= any(map(is_need, copy))
        else:
            found.append(small := _small_value(value))
            has_needs |= is_need(small)
    return tuple(found), has_needs


def _small_value(value: Any) -> Any:
    """Return the small value of a future that has one; any other argument as it is."""
    small = value.small_value() if isinstance(value, Future) else ()
    return small[0] if small else value


def packed_chunk(
    name: str, calls: Sequence[tuple[Any, ...]], find_depot: FindDepot | None = None
) -> Parcel:
    """Pack the arguments of consecutive calls of a `map`, as `Task.arguments` holds them.

    Raises:
        SerialisationError: An argument of one of the calls cannot be pickled; the message names it.
        SystemFailureError: There is no room for their large values.
    """
    data = dumps_plain(calls)
    if data is not None and len(data) < LARGE_STREAM:
        return Parcel(data)
    try:
        return pack(calls, f"a call of {name}", find_depot, named=True)
    except SerialisationError as error:
        failure = error
    # The calls are packed one by one only after a failure, to find the one that fails.
    for args in calls:
        _packed(args, name, args, {})
    raise failure


def values_of(function: FunctionPayload, find_depot: FindDepot | None) -> tuple[str, ...]:
    """Return the keys of a function's large values, after adding the new task as a user of each."""
    if function.values:
        depot = find_depot() if find_depot is not None else None
        assert depot is not None  # The function was pickled for this depot.
        depot.retain(function.values)
    return function.values


def release_values(values: Sequence[str], find_depot: FindDepot | None) -> None:
    """Release the large values of a task that is not sent, by their keys."""
    if values and find_depot is not None and (depot := find_depot()) is not None:
        depot.release(values)


def hold_of(function: FunctionPayload, find_depot: FindDepot) -> "Hold | None":
    """Return a hold that keeps the large values of a function; None if it captures none."""
    depot = find_depot() if function.values else None
    return None if depot is None else depot.hold(function.values)


def _packed(
    value: Any,
    name: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    find_depot: FindDepot | None = None,
) -> Parcel:
    try:
        return pack(value, f"a call of {name}", find_depot, named=True)
    except SerialisationError as error:
        failure = error
    arguments = [(str(index + 1), argument) for index, argument in enumerate(args)]
    for label, argument in [
        *arguments,
        *((repr(key), argument) for key, argument in kwargs.items()),
    ]:
        if _has_future(argument):
            raise SerialisationError(
                f"argument {label} of {name} is a future of another library or holds one, and "
                f"such a future stays in its process: give the value that it results in, as in "
                f"{name}(future.result())"
            )
        dumps(argument, f"argument {label} of {name}")
    raise failure


def _has_future(argument: Any, depth: int = 3) -> bool:
    """Whether an argument is a future of another library, or a container of such futures."""
    if isinstance(argument, dict):
        argument = list(argument.values())
    if isinstance(argument, list | tuple | set | frozenset) and depth:
        return any(_has_future(part, depth - 1) for part in argument)
    return isinstance(argument, AnyFuture) and not isinstance(argument, Future)
