"""What an exception consists of, taken out and put back without running a line of its class.

`__init__` may want other arguments than ``args``, `__setattr__` may refuse, `__getattr__` may
raise: so an exception is made by the class in C that it derives from, and its parts are read and
set by Python's own descriptors.
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

#: What classes written in C inherit. One with another `__reduce__` has its own way.
_REDUCES: Final = {
    id(kind.__reduce__)
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
_MADE_IN_PYTHON: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_NOTES: Final = "__notes__"

#: The object in which an attribute was not found: not part of the error, and often large. Python's
#: own pickling leaves it out, too.
_LEFT_OUT: Final = vars(AttributeError)["obj"]


class State(NamedTuple):
    """What one exception holds, besides its class, its traceback and the exceptions it is linked
    to.

    Args:
        args: As in ``error.args``; of a group none, as it makes them of its message and members.
        attributes: Its ``__dict__``, without notes.
        slots: Values of ``__slots__``, and of what classes in C keep, such as ``OSError.errno``.
    """

    args: tuple[Any, ...]
    attributes: dict[str, Any]
    slots: dict[str, Any]


class Links(NamedTuple):
    """How an exception hangs together with others, and what is shown of it.

    Args:
        cause: ``__cause__``.
        context: ``__context__``.
        suppress_context: ``__suppress_context__``.
        notes: ``__notes__``, as far as they are text.
        message: Of a group.
        members: Of a group.
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
    """What an exception holds."""
    attributes = dict(_OF_BASE["__dict__"].__get__(error))
    attributes.pop(_NOTES, None)
    slots: dict[str, Any] = {}
    for name, member in _members(type(error)):
        if member is _LEFT_OUT:
            continue
        with contextlib.suppress(AttributeError):  # Nothing was assigned to it.
            value = member.__get__(error)
            # What C keeps is None where it is not set, and the text of an OSError changes if None
            # is.
            if value is not None or _is_made_in_python(member.__objclass__):
                slots.setdefault(name, value)
    args = () if isinstance_of(error, BaseExceptionGroup) else _OF_BASE["args"].__get__(error)
    return State(args, attributes, slots)


def links_of(error: BaseException) -> Links:
    """What an exception is linked to."""
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
    """An exception, and all that it is linked to: causes, contexts, members of groups; the nearest
    first, each once.
    """
    seen = {id(error)}
    waiting = [error]
    for current in waiting:  # It grows meanwhile.
        yield current
        links = links_of(current)
        for linked in (links.cause, links.context, *links.members):
            if linked is not None and id(linked) not in seen:
                seen.add(id(linked))
                waiting.append(linked)


def has_own_reduce(kind: type[BaseException]) -> bool:
    """Whether a class says itself how its exceptions are pickled."""
    return kind.__reduce_ex__ is not object.__reduce_ex__ or id(kind.__reduce__) not in _REDUCES


def new(
    kind: type[BaseException], message: str = "", members: tuple[BaseException, ...] = ()
) -> BaseException:
    """An exception of a class, with nothing in it; of a group's class, with the group's message and
    members.
    """
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
    """What the values say that a class's own `__reduce__` gave: those for an exception, which is no
    list and no dictionary.
    """
    made = make(*args)
    if setter is not None:
        setter(made, state)
    elif state is not None:
        made.__setstate__(state)
    return made


def restore(error: BaseException, state: State) -> None:
    """Put back what an exception held."""
    kind = type(error)
    if not isinstance_of(error, BaseExceptionGroup):
        _OF_BASE["args"].__set__(error, state.args)
        if isinstance(
            kind.__init__, WrapperDescriptorType
        ):  # Written in C, and some hold nothing unless it is called.
            with contextlib.suppress(Exception):
                kind.__init__(error, *state.args)
    for name, member in _members(kind) if state.slots else ():
        if name in state.slots:
            with contextlib.suppress(
                AttributeError, TypeError
            ):  # It cannot be written to, and is right already.
                member.__set__(error, state.slots[name])
    _OF_BASE["__dict__"].__get__(error).update(state.attributes)


def link(error: BaseException, links: Links) -> None:
    """Link an exception to others; its members it has been made with."""
    _OF_BASE["__traceback__"].__set__(error, links.traceback)
    _OF_BASE["__cause__"].__set__(error, links.cause)
    _OF_BASE["__context__"].__set__(error, links.context)
    _OF_BASE["__suppress_context__"].__set__(error, links.suppress_context)
    if links.notes:
        _OF_BASE["__dict__"].__get__(error)[_NOTES] = links.notes


def isinstance_of(value: Any, kind: type) -> bool:
    """`isinstance`, without asking the value: a mock says that it is what it stands for."""
    return issubclass_of(type(value), kind)


def issubclass_of(kind: type, base: type) -> bool:
    """`issubclass`, without asking the class."""
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
