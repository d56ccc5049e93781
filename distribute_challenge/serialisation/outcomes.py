"""Encode outcomes as the byte strings of a `Reply`, and decode them."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

from distribute_challenge.core.futures import Future
from distribute_challenge.core.guarded import name_of, text_of, tried
from distribute_challenge.core.messages import Reply
from distribute_challenge.core.outcome import UNBEGUN, Failure, Unbegun, add_note
from distribute_challenge.core.recording import is_recording
from distribute_challenge.core.section import Section
from distribute_challenge.core.sizes import as_size
from distribute_challenge.core.unopened import Unopened
from distribute_challenge.errors import DistributeChallengeError, SerialisationError, StoreFullError
from distribute_challenge.serialisation import (
    LARGE_BUFFER,
    LARGE_STREAM,
    Keep,
    Open,
    dumps_error,
    dumps_plain,
    loads_error,
    pack_plain,
    pack_result,
    references_of,
    unpack,
)

__all__ = [
    "bytes_of",
    "decode_outcomes",
    "encode_outcomes",
    "note_size",
    "note_sizes",
    "open_section",
    "pieces_of",
    "stored_bytes",
]

MOST_IN_A_REPLY = 64_000_000  # Bytes of outcomes in one reply, if it has several; a guess.
LARGEST_IN_REDIS = 500_000_000  # Bytes; Redis limits a string to 512 MiB.


def encode_outcomes(
    outcomes: Iterable[Any],
    name: str,
    keep: Keep | None = None,
    note: Callable[[Failure], str] = lambda failure: "",
) -> Iterator[Section]:
    """Encode outcomes as few byte strings: consecutive built-in values together, others one by one.

    A value that cannot be pickled becomes the failure of its own call.

    Args:
        outcomes: Values, failures as `Failure`, and `UNBEGUN`.
        name: Name of the function, for messages.
        keep: Stores a large buffer where the client finds it; None: all stay in the pickles.
        note: Returns a note for the exception of a failure; empty: no note. It is called once for
            each failure.
    """
    for kind, group in groupby(outcomes, key=_kind):
        if kind is Failure:
            for outcome in group:
                yield Section("error", 1, dumps_error(outcome.error, note(outcome)))
            continue
        values = list(group)
        if kind is Unbegun:
            yield Section("unbegun", len(values), b"")
            continue
        if len(values) == 1 and (plain := dumps_plain(values[0])) is not None:
            is_large = len(plain) >= LARGE_STREAM
            yield Section("value" if is_large else "plain", 1, pack_plain(plain, keep))
            continue
        plain = dumps_plain(values)
        # Large values travel separately: together they might exceed the size of one message.
        if plain is not None and len(plain) < LARGE_BUFFER * len(values):
            yield Section("values", len(values), pack_plain(plain, keep))
            continue
        for value in values:
            yield tried(partial(_value, value, name, keep), partial(_unpicklable, name, note))


def _kind(outcome: Any) -> type | None:
    kind = type(outcome)
    return kind if kind is Failure or kind is Unbegun else None


def _value(value: Any, name: str, keep: Keep | None) -> Section:
    parcel = pack_result(value, f"the result of {name}", keep)
    return Section("value", 1, parcel.data, parcel.beside, tuple(parcel.modules))


def _unpicklable(name: str, note: Callable[[Failure], str], error: BaseException) -> Section:
    if not isinstance(error, DistributeChallengeError):
        # For example, there was not enough memory to store a part of it.
        error = SerialisationError(
            f"the result of {name} cannot be sent: {name_of(type(error))}: {text_of(error)}"
        )
    return Section("error", 1, dumps_error(error, note(Failure(error))))


def pieces_of(sections: Iterable[Section], name: str) -> Iterator[list[Section]]:
    """Divide the sections of a batch into pieces for one reply each.

    A section that is too large for any reply becomes the failure of its calls.
    """
    piece: list[Section] = []
    total = 0
    for section in sections:
        size = len(section.blob) + sum(map(len, section.beside))
        if size > LARGEST_IN_REDIS:
            piece.extend([Section("error", 1, dumps_error(_too_large(name, size)))] * section.calls)
            continue
        if piece and total + size > MOST_IN_A_REPLY:
            yield piece
            piece, total = [], 0
        piece.append(section)
        total += size
    yield piece


def _too_large(name: str, size: int) -> StoreFullError:
    return StoreFullError(
        f"the result of {name} has {as_size(size)}, and no more than {as_size(LARGEST_IN_REDIS)} "
        f"fit through Redis: "
        f"write it to a file, or return it in parts. Between processes that share a machine's "
        f"memory there is no such limit."
    )


def decode_outcomes(
    reply: Reply,
    open: Open | None = None,  # noqa: A002
    later: Callable[[Section], Unopened] | None = None,
) -> list[Any]:
    """Return the outcomes that a reply carries, as `encode_outcomes` got them; the client calls it.

    Args:
        reply: The reply.
        open: Takes a large buffer from where the worker put it; None for engines whose workers
            store no buffers.
        later: Makes the result that is opened when a caller asks for it; None: all values are
            unpickled now. Small built-in values always are.
    """
    outcomes: list[Any] = []
    for section in reply.sections:
        kind = section.kind
        if kind == "error":
            outcomes.append(Failure(loads_error(section.blob)))
            continue
        if kind == "unbegun":
            outcomes.extend([UNBEGUN] * section.calls)
            continue
        if later is not None and kind == "value":
            outcomes.append(later(section))
            continue
        value = open_section(section, open)
        if type(value) is Failure:
            outcomes.extend([value] * section.calls)
        elif kind == "values":
            outcomes.extend(value)
        else:
            outcomes.append(value)
    return outcomes


def stored_bytes(sections: Iterable[Section], first: int, last: int) -> int:
    """Return the size of all parts of results that lie in stores, in bytes.

    Args:
        sections: The sections of a reply.
        first: Number of the first result to look at, in the reply.
        last: Number of the first one behind.
    """
    total = number = 0
    for section in sections:
        if section.kind == "value" and first <= number < last:
            total += sum(part.size for part in references_of(section.blob))
        number += section.calls
    return total


def note_size(future: Future[Any], sections: Iterable[Section]) -> None:
    """Add the size of results to what a future knows of it, if it is recorded.

    Args:
        future: The future of one call, or of a chunk.
        sections: Its results.
    """
    if is_recording():
        future.result_size = (future.result_size or 0) + bytes_of(sections)


def note_sizes(futures: Iterable[Future[Any]], sections: Iterable[Section]) -> None:
    """Do the same for single calls whose results are in consecutive sections."""
    if is_recording():
        sizes = (
            _size(section) / section.calls for section in sections for _ in range(section.calls)
        )
        for future, size in zip(futures, sizes, strict=False):
            future.result_size = size


def bytes_of(sections: Iterable[Section]) -> int:
    """Return the size of the results in these sections, in bytes, with their parts in stores."""
    return sum(map(_size, sections))


def _size(section: Section) -> int:
    if section.kind in ("error", "unbegun"):
        return 0
    size = len(section.blob) + sum(map(len, section.beside))
    return size + sum(part.size for part in references_of(section.blob))


def open_section(section: Section, open: Open | None = None) -> Any:  # noqa: A002
    """Return what a section of values holds; a `Failure` if it cannot be unpickled.

    Args:
        section: The section.
        open: As for `decode_outcomes`.
    """
    # Copied, as callers expect that they can write to a result.
    beside = map(bytearray, section.beside)
    return tried(partial(unpack, section.blob, open, beside), _unloadable)


def _unloadable(error: BaseException) -> Failure:
    """Return the failure of a result that cannot be unpickled; it must not end the process."""
    if isinstance(error, Exception):
        add_note(
            error,
            "The call succeeded on its worker; its result cannot be unpickled in this process.",
        )
        return Failure(error)
    return Failure(
        SerialisationError(
            f"the call succeeded on its worker; its result cannot be unpickled in this process: "
            f"{name_of(type(error))}: {text_of(error)}"
        )
    )
