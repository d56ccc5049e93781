"""A call and the calls that it needs, as text and as HTML; `Distributable` shows it in notebooks.

Nothing is pickled or run. Only lists, tuples, sets and dictionaries are looked into; calls in other
objects are found when the call is submitted.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple, Protocol

from distribute_challenge.core.future_text import FutureText, short
from distribute_challenge.core.futures import Future
from distribute_challenge.core.needs import is_need
from distribute_challenge.core.signature import call_text

__all__ = ["MOST_LINES", "Line", "outline", "outline_html"]

MOST_LINES = 30  # Of one call; a guess at what people still read.
MOST_DEPTH = 6  # Calls below each other.
MOST_LOOKED_AT = 1000  # Arguments of one call that are looked into.


class Prepared(Protocol):
    """What all calls of one function share."""

    @property
    def name(self) -> str:
        """The name of the function."""


class Call(Protocol):
    """A call that has not run; `Distributable` is one."""

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Its keyword arguments."""

    @property
    def prepared(self) -> Prepared:
        """What all calls of its function share."""


class Line(NamedTuple):
    """One call of an outline.

    Attributes:
        depth: How many calls stand above it.
        text: The call.
        state: How far a future has come; ``"as above"`` for a call that stands in several places
            and runs once; else empty.
    """

    depth: int
    text: str
    state: str


def outline(call: Call) -> list[Line]:
    """Return a call and what it needs, each call below the one that needs it.

    The last line says so if there are more than `MOST_LINES`, or calls that lie deeper than
    `MOST_DEPTH`.
    """
    lines: list[Line] = []
    seen: set[int] = set()
    waiting: list[tuple[int, Any]] = [(0, call)]
    # A loop, as calls may lie a hundred thousand deep.
    while waiting:
        depth, each = waiting.pop()
        if len(lines) == MOST_LINES:
            lines[-1] = Line(0, "...", "and more calls")
            break
        text, state = _described(each)
        if id(each) in seen:
            lines.append(Line(depth, text, "as above"))
            continue
        seen.add(id(each))
        lines.append(Line(depth, text, state))
        if isinstance(each, Future):
            continue
        needs = list(needs_of(each))
        if needs and depth == MOST_DEPTH:
            lines.append(Line(depth + 1, "...", "and more calls"))
            continue
        waiting.extend((depth + 1, need) for need in reversed(needs))
    return lines


def needs_of(call: Call) -> Iterator[Any]:
    """Yield the futures and calls in the arguments of a call, up to `MOST_LOOKED_AT` arguments."""
    waiting: list[Any] = [*reversed(list(call.kwargs.values())), *reversed(call.args)]
    for _ in range(MOST_LOOKED_AT):
        if not waiting:
            return
        thing = waiting.pop()
        if is_need(thing):
            yield thing
        elif type(thing) is dict:
            waiting.extend(reversed(list(thing.values())[:MOST_LOOKED_AT]))
        elif type(thing) in (list, tuple):
            waiting.extend(reversed(thing[:MOST_LOOKED_AT]))
        elif type(thing) in (set, frozenset) and len(thing) <= MOST_LOOKED_AT:
            waiting.extend(thing)


def outline_html(call: Call) -> str:
    """Return the outline as HTML."""
    rows = "".join(
        f'<div style="padding-left:{1.2 * line.depth:.1f}em">'
        f'<code style="background:none;color:inherit">{escape(line.text)}</code> '
        f'<span style="opacity:.7">{escape(line.state)}</span></div>'
        for line in outline(call)
    )
    return f'<div style="overflow-x:auto;padding:.2em .6em 0;white-space:nowrap">{rows}</div>'


def _described(thing: Any) -> tuple[str, str]:
    if isinstance(thing, Future):
        text = FutureText.of(thing)
        return text.call, text.state
    return short(call_text(thing.prepared.name, thing.args, thing.kwargs)), ""
