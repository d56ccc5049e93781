"""The parts of one exception that travel: text, numbers, and pickles of its class and its state."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from distribute_challenge.core.guarded import text_of
from distribute_challenge.serialisation.exceptions.state import State, made_by_reduce
from distribute_challenge.serialisation.exceptions.values import loaded_exceptions
from distribute_challenge.serialisation.pickling import dumps_plain, loads

__all__ = [
    "NONE",
    "Node",
    "Others",
    "Parts",
    "Place",
    "decoded",
    "encoded",
    "label_of",
    "loads_among",
    "made_again",
    "parts_of",
    "reason_of",
    "state_from",
]

MOST_REASON = 300  # Characters of a reason in a note.

NONE = -1  # In place of the number of a class or exception.

#: The place of a part in a state: a field of `State`, and the index or name in that field.
Place = tuple[str, Any]
Parts = dict[Place, Any]


class Others(NamedTuple):
    """Parts of a state that are not built-in values.

    Args:
        places: The place of each part, and the name of its class.
        data: A dictionary from place to part, pickled.
    """

    places: list[tuple[Place, str]]
    data: bytes


class Node(NamedTuple):
    """One exception as text, numbers and pickles.

    Args:
        type_name: The name of its class, for people.
        text: ``str()`` of it.
        kind: The number of its class among the classes that travel along, or `NONE` if the class
            cannot travel.
        reduced: What its own `__reduce__` returned, pickled; None if it has none that works.
        plain: The parts of its state that are numbers, text and containers of these, pickled.
        others: The other parts, in pickles that may fail one by one.
        missing: The parts that text replaces, with the reasons.
        cause: The number of its cause, or `NONE`.
        context: The number of its context, or `NONE`.
        suppress_context: As in `Links`.
        notes: As in `Links`.
        message: As in `Links`.
        members: The numbers of a group's members; None if it is not a group.
        rows: Its traceback.
    """

    type_name: str
    text: str
    kind: int = NONE
    reduced: bytes | None = None
    plain: bytes = b""
    others: list[Others] = []  # noqa: RUF012 - never changed
    missing: list[str] = []  # noqa: RUF012
    cause: int = NONE
    context: int = NONE
    suppress_context: bool = False
    notes: list[str] = []  # noqa: RUF012
    message: str = ""
    members: list[int] | None = None
    rows: list[tuple[Any, ...]] = []  # noqa: RUF012


def encoded(nodes: list[Node], kinds: list[bytes], traceback_text: str = "") -> bytes:
    """Encode nodes, and what belongs to them, as bytes.

    Args:
        nodes: The exception, and all exceptions linked to it.
        kinds: Their classes, pickled.
        traceback_text: The whole traceback as text, for a client that cannot load the class.
    """
    bare = [
        (*node[:_OTHERS], list(map(tuple, node.others)), *node[_OTHERS + 1 :]) for node in nodes
    ]
    data = dumps_plain((bare, kinds, traceback_text))
    assert data is not None  # Text, numbers and bytes only.
    return data


def decoded(data: bytes | memoryview) -> tuple[list[Node], list[bytes], str]:
    """Decode what `encoded` returned into its arguments."""
    bare, kinds, traceback_text = loads(data)
    nodes = [
        Node._make(
            (*node[:_OTHERS], [Others(*others) for others in node[_OTHERS]], *node[_OTHERS + 1 :])
        )
        for node in bare
    ]
    return nodes, kinds, traceback_text


def parts_of(state: State) -> Parts:
    """Split a state into parts that can be pickled one by one."""
    parts: Parts = {("args", index): value for index, value in enumerate(state.args)}
    parts |= {
        ("attributes", name): value for name, value in state.attributes.items() if type(name) is str
    }
    parts |= {("slots", name): value for name, value in state.slots.items()}
    return parts


def state_from(parts: Parts) -> State:
    """Put a state together from its parts."""
    args: dict[int, Any] = {}
    attributes: dict[str, Any] = {}
    slots: dict[str, Any] = {}
    fields: dict[str, dict[Any, Any]] = {"args": args, "attributes": attributes, "slots": slots}
    for (field, key), value in parts.items():
        fields[field][key] = value
    return State(tuple(args[index] for index in sorted(args)), attributes, slots)


def label_of(place: Place) -> str:
    """Return the name of a part for a note."""
    field, key = place
    return f"args[{key}]" if field == "args" else str(key)


_OTHERS = Node._fields.index("others")


def reason_of(error: BaseException) -> str:
    """Say in a few words why a part is missing."""
    text = f"{type(error).__name__}: {text_of(error)}"
    return text if len(text) <= MOST_REASON else f"{text[:MOST_REASON]}..."


def made_again(data: bytes, kind: type[BaseException]) -> BaseException:
    """Unpickle what a class's own `__reduce__` returned; the result must be of that class."""
    made = made_by_reduce(*loads(data))
    if type(made) is not kind:
        raise TypeError(f"{kind.__qualname__}.__reduce__ makes a {type(made).__qualname__} of it")
    error: BaseException = made
    return error


def loads_among(errors: Sequence[BaseException | None], data: bytes) -> Any:
    """Unpickle data that refers to exceptions by their numbers."""
    token = loaded_exceptions.set(errors)
    try:
        return loads(data)
    finally:
        loaded_exceptions.reset(token)
