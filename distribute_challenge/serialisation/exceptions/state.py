"""Take out and put back what an exception consists of, without running code of its class.

A class's `__init__` may want other arguments than ``args``, its `__setattr__` may refuse, its
`__getattr__` may raise. So the class in C that it derives from makes the exception, and Python's
own descriptors read and set the parts.
"""

import builtins
import contextlib
from collections.abc import Iterator
from types import MemberDescriptorType, TracebackType, WrapperDescriptorType
from typing import Any, Final, NamedTuple

__all__ = [
    "Links",
    "State",
    "exceptions_of",
    "has_own_reduce",
    "isinstance_of",
    "issubclass_of",
    "link",
    "links_of",
    "made_by_reduce",
    "new",
    "restore",
    "state_of",
]

_OF_BASE: Final[dict[str, Any]] = dict(vars(BaseException))
_OF_GROUP: Final[dict[str, Any]] = dict(vars(BaseExceptionGroup))

#: The `__reduce__` methods of Python's own exceptions; a class with another one pickles itself.
_REDUCES: Final = {
    id(kind.__reduce__)
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
_MADE_IN_PYTHON: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_NOTES: Final = "__notes__"

#: The object in which an attribute was not found. It is no part of the error, and often large;
#: Python's own pickling leaves it out, too.
_LEFT_OUT: Final = vars(AttributeError)["obj"]


class State(NamedTuple):
    """What one exception holds, without its class, its traceback and its linked exceptions.

    Args:
        args: As in ``error.args``; empty for a group, which makes them of its message and members.
        attributes: Its ``__dict__``, without notes.
        slots: Values of ``__slots__``, and of members of classes in C, such as ``OSError.errno``.
    """

    args: tuple[Any, ...]
    attributes: dict[str, Any]
    slots: dict[str, Any]


class Links(NamedTuple):
    """The links of an exception to others, and what Python shows of it.

    Args:
        cause: ``__cause__``.
        context: ``__context__``.
        suppress_context: ``__suppress_context__``.
        notes: The entries of ``__notes__`` that are text.
        message: The message of a group; empty for others.
        members: The members of a group; empty for others.
        traceback: ``__traceback__``.
    """

    cause: BaseException | None
    context: BaseException | None
    suppress_context: bool
    notes: list[str]
    message: str
    members: tuple[BaseException, ...]
    traceback: TracebackType | None


def state_of(error: BaseException) -> State:
    """Return what an exception holds."""
    attributes = dict(_OF_BASE["__dict__"].__get__(error))
    attributes.pop(_NOTES, None)
    slots: dict[str, Any] = {}
    for name, member in _members(type(error)):
        if member is _LEFT_OUT:
            continue
        with contextlib.suppress(AttributeError):  # The slot has no value.
            value = member.__get__(error)
            # Members in C are None where they are not set; setting None would change the text of
            # an OSError.
            if value is not None or _is_made_in_python(member.__objclass__):
                slots.setdefault(name, value)
    args = () if isinstance_of(error, BaseExceptionGroup) else _OF_BASE["args"].__get__(error)
    return State(args, attributes, slots)


def links_of(error: BaseException) -> Links:
    """Return the links of an exception."""
    notes = _OF_BASE["__dict__"].__get__(error).get(_NOTES)
    is_group = isinstance_of(error, BaseExceptionGroup)
    return Links(
        _OF_BASE["__cause__"].__get__(error),
        _OF_BASE["__context__"].__get__(error),
        _OF_BASE["__suppress_context__"].__get__(error),
        [note for note in notes if type(note) is str] if isinstance(notes, list | tuple) else [],
        str.__str__(_OF_GROUP["message"].__get__(error)) if is_group else "",
        _OF_GROUP["exceptions"].__get__(error) if is_group else (),
        _OF_BASE["__traceback__"].__get__(error),
    )


def exceptions_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then its causes, contexts and members of groups, the nearest first.

    Each exception comes once, however many others are linked to it.
    """
    seen = {id(error)}
    waiting = [error]
    for current in waiting:  # The list grows in the loop.
        yield current
        links = links_of(current)
        for linked in (links.cause, links.context, *links.members):
            if linked is not None and id(linked) not in seen:
                seen.add(id(linked))
                waiting.append(linked)


def has_own_reduce(kind: type[BaseException]) -> bool:
    """Whether a class defines how its exceptions are pickled."""
    return kind.__reduce_ex__ is not object.__reduce_ex__ or id(kind.__reduce__) not in _REDUCES


def new(
    kind: type[BaseException], message: str = "", members: tuple[BaseException, ...] = ()
) -> BaseException:
    """Make an empty exception of a class; one of a group's class gets its message and members."""
    base: Any = next(base for base in kind.__mro__ if not _is_made_in_python(base))
    args = (message, list(members)) if base is BaseExceptionGroup else ()
    made: BaseException = base.__new__(kind, *args)
    return made


def made_by_reduce(
    make: Any,
    args: tuple[Any, ...],
    state: Any = None,
    items: Any = None,
    pairs: Any = None,
    setter: Any = None,
) -> Any:
    """Make the exception that the result of its class's `__reduce__` describes.

    An exception is no list and no dictionary, so ``items`` and ``pairs`` are ignored.
    """
    made = make(*args)
    if setter is not None:
        setter(made, state)
    elif state is not None:
        made.__setstate__(state)
    return made


def restore(error: BaseException, state: State) -> None:
    """Give an exception its state back."""
    kind = type(error)
    if not isinstance_of(error, BaseExceptionGroup):
        _OF_BASE["args"].__set__(error, state.args)
        if isinstance(
            kind.__init__, WrapperDescriptorType
        ):  # Some classes in C set their members only here.
            with contextlib.suppress(Exception):
                kind.__init__(error, *state.args)
    for name, member in _members(kind) if state.slots else ():
        if name in state.slots:
            with contextlib.suppress(
                AttributeError, TypeError
            ):  # A read-only member, which has its value already.
                member.__set__(error, state.slots[name])
    _OF_BASE["__dict__"].__get__(error).update(state.attributes)


def link(error: BaseException, links: Links) -> None:
    """Set the links of an exception, except its members: it was made with them."""
    _OF_BASE["__traceback__"].__set__(error, links.traceback)
    _OF_BASE["__cause__"].__set__(error, links.cause)
    _OF_BASE["__context__"].__set__(error, links.context)
    _OF_BASE["__suppress_context__"].__set__(error, links.suppress_context)
    if links.notes:
        _OF_BASE["__dict__"].__get__(error)[_NOTES] = links.notes


def isinstance_of(value: Any, kind: type) -> bool:
    """Like `isinstance`, but without asking the value: a mock claims the class it stands for."""
    return issubclass_of(type(value), kind)


def issubclass_of(kind: type, base: type) -> bool:
    """Like `issubclass`, but without asking the class."""
    return base in type.__dict__["__mro__"].__get__(kind)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for base in kind.__mro__:
        if base is not BaseException and base is not BaseExceptionGroup:
            yield from (
                (name, value)
                for name, value in vars(base).items()
                if type(value) is MemberDescriptorType
            )


def _is_made_in_python(kind: type) -> bool:
    return bool(kind.__flags__ & _MADE_IN_PYTHON)
