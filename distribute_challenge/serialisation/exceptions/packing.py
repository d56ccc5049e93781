"""Pack the exception of a call, with all exceptions linked to it, into bytes."""

import pickle
import sys
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any

from distribute_challenge.core.folding import users_frames
from distribute_challenge.core.guarded import name_of, shortened, shown, text_of, tried
from distribute_challenge.core.sizes import as_size
from distribute_challenge.serialisation.exceptions.node import (
    NONE,
    Node,
    Others,
    Parts,
    Place,
    encoded,
    label_of,
    loads_among,
    made_again,
    parts_of,
    reason_of,
)
from distribute_challenge.serialisation.exceptions.state import (
    exceptions_of,
    has_own_reduce,
    isinstance_of,
    links_of,
    state_of,
)
from distribute_challenge.serialisation.exceptions.tracebacks import MOST_FRAMES, rows_of
from distribute_challenge.serialisation.exceptions.values import known_exceptions
from distribute_challenge.serialisation.pickling import dumped, dumps, dumps_plain
from distribute_challenge.serialisation.project_pickler import PROTOCOL
from distribute_challenge.settings import full_tracebacks

__all__ = ["Packing", "traceback_text"]

MOST_EXCEPTIONS = (
    10_000  # That travel of one chain or group; a guess: each takes a tenth of a millisecond.
)
MOST_FRAMES_IN_ALL = 10_000  # Of all tracebacks of a chain together.
FEWEST_FRAMES = 10  # Of each traceback, however long the chain is.
LARGEST_PART = 100_000_000  # Bytes of one attribute; a reply has room for five of these.


class Packing:
    """Packs one exception; `dumps_error` makes one for each exception on the worker.

    Args:
        error: The exception.
        note: One more note for it; empty: none.
    """

    def __init__(self, error: BaseException, note: str = "") -> None:
        self._note = [note] if note else []
        self._errors = list(islice(exceptions_of(error), MOST_EXCEPTIONS))
        self._numbers = {id(error): number for number, error in enumerate(self._errors)}
        self._frames = max(FEWEST_FRAMES, min(MOST_FRAMES, MOST_FRAMES_IN_ALL // len(self._errors)))
        self._kinds: list[bytes] = []
        self._numbers_of_kinds: dict[int, int] = {}
        self._is_cut = False

    def packed(self) -> bytes:
        """Return the exception as bytes."""
        nodes = [self._node(error) for error in self._errors]
        if self._is_cut:
            nodes.append(
                Node(
                    "more exceptions",
                    f"no more than {MOST_EXCEPTIONS:,} of a chain or group are sent",
                )
            )
        first = self._errors[0]
        # Every client can rebuild Python's own exceptions, so these need no text in reserve.
        is_safe = nodes[0].kind != NONE and type(first).__module__ == "builtins"
        return encoded(
            nodes,
            self._kinds,
            "" if is_safe else traceback_text(first, self._frames, len(self._errors)),
        )

    def _node(self, error: BaseException) -> Node:
        links = links_of(error)
        is_first = error is self._errors[0]
        kind = NONE if is_first and _would_end_the_client(error) else self._kind(type(error))
        reduced: bytes | None = None
        plain, others, missing = b"", list[Others](), list[str]()
        if kind != NONE and has_own_reduce(type(error)):
            reduced = tried(lambda: _reduced(error), lambda reason: None)
        if kind != NONE and reduced is None:
            plain, others, missing = self._packed_state(error)
        return Node(
            name_of(type(error)),
            text_of(error),
            kind,
            reduced,
            plain,
            others,
            missing,
            self._number(links.cause),
            self._number(links.context),
            links.suppress_context,
            links.notes + self._note if is_first else links.notes,
            links.message,
            list(map(self._number, links.members))
            if isinstance_of(error, BaseExceptionGroup)
            else None,
            rows_of(_users_frames(error) if is_first else links.traceback, self._frames),
        )

    def _number(self, error: BaseException | None) -> int:
        if error is None:
            return NONE
        number = self._numbers.get(id(error), MOST_EXCEPTIONS)
        self._is_cut |= number == MOST_EXCEPTIONS
        return number

    def _kind(self, kind: type) -> int:
        """Return the number of a class, and pickle the class at its first use.

        Classes are pickled apart from the exceptions, as a long chain has few of them.
        """
        if id(kind) not in self._numbers_of_kinds:
            number = NONE
            if (data := tried(lambda: _packed_kind(kind), lambda reason: None)) is not None:
                number = len(self._kinds)
                self._kinds.append(data)
            self._numbers_of_kinds[id(kind)] = number
        return self._numbers_of_kinds[id(kind)]

    def _packed_state(self, error: BaseException) -> tuple[bytes, list[Others], list[str]]:
        """Return the state as `Node` has it: plain parts, other parts, and what is missing."""
        parts = parts_of(state_of(error))
        whole = dumps_plain(parts)
        if whole is not None and len(whole) <= LARGEST_PART:
            return whole, [], []
        plain: Parts = {}
        rich: Parts = {}
        for place, value in parts.items():
            data = dumps_plain(value)
            (plain if data is not None and len(data) <= LARGEST_PART else rich)[place] = value
        missing: list[str] = []
        others = tried(
            lambda: [self._verified(rich)], lambda reason: self._one_by_one(rich, plain, missing)
        )
        data = dumps_plain(plain)
        assert data is not None  # Every part is plain.
        return data, others, missing

    def _one_by_one(self, rich: Parts, plain: Parts, missing: list[str]) -> list[Others]:
        """Find the parts that cannot be sent, and put text in their places."""
        others: list[Others] = []

        def keep(place: Place, value: Any) -> None:
            others.append(self._verified({place: value}))

        def replace(place: Place, value: Any, reason: BaseException) -> None:
            missing.append(f"{label_of(place)} ({reason_of(reason)})")
            plain[place] = shown(value)

        for part in rich.items():
            tried(partial(keep, *part), partial(replace, *part))
        return others

    def _verified(self, parts: Parts) -> Others:
        """Pickle parts, and check that at least this process can unpickle them."""
        token = known_exceptions.set(self._numbers)
        try:
            data = dumped(parts).data
        finally:
            known_exceptions.reset(token)
        if len(data) > LARGEST_PART:
            raise ValueError(f"{as_size(len(data))} are more than an exception may carry")
        loads_among(self._errors, data)
        return Others([(place, name_of(type(value))) for place, value in parts.items()], data)


def _packed_kind(kind: type) -> bytes:
    if kind.__module__ == "builtins":
        return pickle.dumps(kind, PROTOCOL)
    return dumps(kind, "the exception's class").data


def _reduced(error: BaseException) -> bytes:
    """Pickle what the class's own `__reduce__` returns, if the same exception can be made of it."""
    data = dumps((*error.__reduce_ex__(PROTOCOL),), "the exception").data
    made_again(data, type(error))
    return data


def _users_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback without this library's frames, unless full tracebacks are asked for."""
    traceback = links_of(error).traceback
    return traceback if full_tracebacks() else users_frames(traceback)


def _would_end_the_client(error: BaseException) -> bool:
    """Whether raising an exception in the client would end its process, a coroutine or a generator.

    These are SystemExit, KeyboardInterrupt, GeneratorExit and CancelledError: only the client
    itself decides when to raise them.
    """
    asyncio = sys.modules.get("asyncio.exceptions")  # Not imported here, because that is slow.
    kinds = (
        SystemExit,
        KeyboardInterrupt,
        GeneratorExit,
        getattr(asyncio, "CancelledError", SystemExit),
    )
    return any(isinstance_of(error, kind) for kind in kinds)


def traceback_text(error: BaseException, frames: int = MOST_FRAMES, errors: int = 1) -> str:
    """Return the traceback as Python prints it, with the source that this process has.

    Args:
        error: The exception.
        frames: How many frames to show of each traceback.
        errors: How many exceptions are linked to it; of very many, only the first is shown.
    """
    import traceback  # Needed only for exceptions that a client may be unable to rebuild.

    def attempt() -> str:
        users = _users_frames(error)
        return "".join(
            traceback.format_exception(
                type(error), error, users, limit=-frames, chain=errors < MOST_FRAMES_IN_ALL
            )
        )

    return shortened(tried(attempt, lambda reason: f"{name_of(type(error))}: {text_of(error)}\n"))
