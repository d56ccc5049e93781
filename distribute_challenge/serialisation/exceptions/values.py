"""Exceptions that are part of a value: returned, given as an argument, kept in an attribute.

They are pickled with the rest of the value, and objects that they share with it stay shared. The
exceptions linked to one (its causes, contexts, members of groups) are written as one flat list, so
a long chain takes no more stack than a short one. A part that cannot be pickled is an error, as
everywhere in a value. `encoding` says how the exception that a call raises travels.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from distribute_challenge.serialisation.exceptions.state import (
    Links,
    State,
    exceptions_of,
    has_own_reduce,
    isinstance_of,
    link,
    links_of,
    made_by_reduce,
    new,
    restore,
    state_of,
)
from distribute_challenge.serialisation.exceptions.tracebacks import rows_of, traceback_of

__all__ = ["known_exceptions", "loaded_exceptions", "reduce_exception"]

#: While a call's exception is pickled: the numbers of the exceptions that travel with it, by id.
known_exceptions: ContextVar[dict[int, int]] = ContextVar("distribute_challenge_known_exceptions")

#: While it is unpickled: the same exceptions, by number.
loaded_exceptions: ContextVar[Sequence[BaseException | None]] = ContextVar(
    "distribute_challenge_loaded_exceptions"
)


def reduce_exception(error: BaseException, linked: set[int]) -> tuple[Any, ...]:
    """Return what a pickler writes for an exception.

    Args:
        error: The exception.
        linked: Ids of the exceptions whose links are written already, with an earlier exception.
            Each pickler has its own set.
    """
    number = known_exceptions.get({}).get(id(error))
    if number is not None:
        return _known, (number,)
    others = []
    if id(error) not in linked:
        others = list(exceptions_of(error))
        linked.update(map(id, others))
    all_links = [(other, _packed(links_of(other))) for other in others]
    kind = type(error)
    if has_own_reduce(kind):
        reduced = error.__reduce_ex__(5)
        if not isinstance(reduced, tuple):
            raise TypeError(f"{kind.__qualname__}.__reduce__ gave no tuple")
        make, args, *rest = reduced
        return make, args, (rest, all_links), None, None, _finish_reduced
    links = links_of(error)
    group = (links.message, links.members) if isinstance_of(error, BaseExceptionGroup) else ()
    return new, (kind, *group), (tuple(state_of(error)), all_links), None, None, _finish


def _packed(links: Links) -> tuple[Any, ...]:
    """Return links as a tuple, without members, which their group is made with."""
    return links.cause, links.context, links.suppress_context, links.notes, rows_of(links.traceback)


def _known(number: int) -> BaseException | None:
    return loaded_exceptions.get()[number]


def _finish(error: BaseException, values: tuple[Any, ...]) -> None:
    state, all_links = values
    restore(error, State(*state))
    _link_all(all_links)


def _finish_reduced(error: Any, values: tuple[Any, ...]) -> None:
    rest, all_links = values
    if rest:
        made_by_reduce(lambda: error, (), *rest)
    _link_all(all_links)


def _link_all(all_links: list[tuple[Any, tuple[Any, ...]]]) -> None:
    for error, (cause, context, suppress_context, notes, rows) in all_links:
        if isinstance_of(error, BaseException):  # A class's `__reduce__` may make another object.
            link(error, Links(cause, context, suppress_context, notes, "", (), traceback_of(rows)))
