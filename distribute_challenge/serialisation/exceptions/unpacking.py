"""Unpack the exception of a call, with all exceptions linked to it, from bytes."""

from distribute_challenge.core.guarded import tried
from distribute_challenge.errors import RemoteError
from distribute_challenge.serialisation.exceptions.node import (
    NONE,
    Node,
    Others,
    Parts,
    label_of,
    loads_among,
    made_again,
    reason_of,
    state_from,
)
from distribute_challenge.serialisation.exceptions.state import (
    Links,
    State,
    isinstance_of,
    issubclass_of,
    link,
    new,
    restore,
)
from distribute_challenge.serialisation.exceptions.tracebacks import text_of_rows, traceback_of
from distribute_challenge.serialisation.pickling import loads

__all__ = ["Unpacking"]


class Unpacking:
    """Unpacks one exception; `loads_error` makes one for each exception on the client.

    Args:
        nodes: The exception, and all exceptions linked to it.
        kinds: Their classes, pickled.
        traceback_text: The whole traceback as text, for the case that this process cannot load the
            class; empty for classes that every process has.
    """

    def __init__(self, nodes: list[Node], kinds: list[bytes], traceback_text: str) -> None:
        self._nodes = nodes
        self._kinds = list(map(_kind, kinds))
        self._traceback_text = traceback_text
        self._made: list[BaseException | None] = [None] * len(nodes)
        self._missing = [list(node.missing) for node in nodes]
        self._stand_ins: set[int] = set()

    def error(self) -> BaseException:
        """Return the exception."""
        numbers = range(len(self._nodes))
        for number in numbers:
            self._make_with_members(number)
        for number in numbers:
            if number not in self._stand_ins:
                self._fill(number)
        for number in numbers:
            self._link(number)
        return self._got(0)

    def _got(self, number: int) -> BaseException:
        error = self._made[number]
        assert error is not None
        return error

    def _make_with_members(self, number: int) -> None:
        # Members come first, as a group is made of them. There is no recursion, as groups may be
        # nested deeply.
        waiting = [number]
        while waiting:
            number = waiting[-1]
            unmade = [
                member for member in self._nodes[number].members or () if self._made[member] is None
            ]
            waiting += unmade
            if not unmade:
                waiting.pop()
                if self._made[number] is None:
                    self._made[number] = self._new(number)

    def _new(self, number: int) -> BaseException:
        kind = self._kinds[self._nodes[number].kind] if self._nodes[number].kind != NONE else None
        if kind is None:
            return self._stand_in(number)
        return tried(lambda: self._new_of(kind, number), lambda reason: self._stand_in(number))

    def _new_of(self, kind: type[BaseException], number: int) -> BaseException:
        node = self._nodes[number]
        members = tuple(map(self._got, node.members or ()))
        reduced = node.reduced
        if reduced is None:
            return new(kind, node.message, members)

        def with_text_alone(reason: BaseException) -> BaseException:
            self._missing[number].append(f"all but its text ({reason_of(reason)})")
            made = new(kind, node.message, members)
            restore(made, State((node.text,), {}, {}))
            return made

        return tried(lambda: made_again(reduced, kind), with_text_alone)

    def _stand_in(self, number: int) -> RemoteError:
        self._stand_ins.add(number)
        node = self._nodes[number]
        text = "" if number else self._traceback_text
        return RemoteError(node.type_name, node.text, text or text_of_rows(node.rows))

    def _fill(self, number: int) -> None:
        node = self._nodes[number]
        if node.reduced is None:
            parts: Parts = loads(node.plain)
            for others in node.others:
                parts |= self._unpacked(number, others)
            restore(self._got(number), state_from(parts))

    def _unpacked(self, number: int, others: Others) -> Parts:
        def named(reason: BaseException) -> Parts:
            self._missing[number] += [
                f"{label_of(place)} ({reason_of(reason)})" for place, _ in others.places
            ]
            return {place: f"<{type_name} object>" for place, type_name in others.places}

        return tried(lambda: loads_among(self._made, others.data), named)

    def _link(self, number: int) -> None:
        is_stand_in = number in self._stand_ins
        if is_stand_in and not number:
            return  # Its text is the whole traceback.
        node, missing = self._nodes[number], self._missing[number]
        notes = node.notes
        if missing:
            notes = [
                *notes,
                (
                    f"Text stands in for what could not be sent of this exception: "
                    f"{'; '.join(missing)}"
                ),
            ]
        link(
            self._got(number),
            Links(
                None if node.cause == NONE else self._got(node.cause),
                None if node.context == NONE else self._got(node.context),
                node.suppress_context,
                notes,
                node.message,
                (),
                None if is_stand_in else traceback_of(node.rows),  # A stand-in has rows as text.
            ),
        )


def _kind(data: bytes) -> type[BaseException] | None:
    """Load a class; None if this process cannot, or if it is no exception class."""
    kind = tried(lambda: loads(data), lambda reason: None)
    return kind if isinstance_of(kind, type) and issubclass_of(kind, BaseException) else None
