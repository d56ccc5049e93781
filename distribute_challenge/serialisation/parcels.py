"""Move large values out of the pickle into a store, and send a small parcel in their place.

    value ──► pack ──► Parcel ──── in the message ────► unpack ──► value
                │                                         ▲
                └─ large buffers ──► a store ──► opened ──┘

A blob that starts with pickle's own first byte is an ordinary pickle, so small values cost nothing
extra. A parcel starts with ``P``; then comes a pickled pair of

- the pickle itself without its large buffers; or, if it is large, too (long lists, texts, bytes),
  a reference to where it lies;
- a reference for each of these buffers, in the order in which the pickle needs them; None for a
  buffer that travels beside the parcel in the same message.

Arguments with stand-ins for what other calls result in (`core.needs`) start with ``N``; then comes
a pickled pair of the blob of the arguments, and a list with one blob for each result, or the number
of the call in the same message that gives it.
"""

import pickle
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from distribute_challenge.core.needs import giving, itself, unpacked
from distribute_challenge.core.references import Reference
from distribute_challenge.serialisation.pickling import dumps, dumps_plain, loads

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot

__all__ = [
    "LARGE_BUFFER",
    "LARGE_STREAM",
    "Deposited",
    "FindDepot",
    "Keep",
    "Open",
    "Parcel",
    "pack",
    "pack_plain",
    "pack_result",
    "references_of",
    "unpack",
    "with_beside_stored",
    "with_inputs",
    "without_inputs",
]

# A buffer of this many bytes leaves the pickle, and a pickle of this many bytes goes to a store as
# a whole. Measured by benchmarks/payloads.py: for one call, a store is as fast as a message at
# 16 kB in shared memory and at 64 kB in Redis; for thousands of calls of 127 kB, it is five times
# as fast.
LARGE_BUFFER = 64_000
LARGE_STREAM = 64_000

#: Returns the depot for large values, or None if they stay in the pickle. Called only when a large
#: value is found, as it may have to connect.
FindDepot = Callable[[], "Depot | None"]

#: Stores a buffer of a result; returns None if there is no room, so that it travels in the reply.
Keep = Callable[[memoryview], Reference | None]

#: Returns the buffer of a reference.
Open = Callable[[Reference], memoryview]

_FIRST = b"P"
_WITH_INPUTS = b"N"
_NO_MODULES: frozenset[str] = frozenset()


class Parcel(NamedTuple):
    """A packed value.

    Args:
        data: The pickle or parcel itself.
        modules: Names of the user's own modules that unpickling it needs.
        values: Keys of the values that it refers to. The depot counts one user for each; the code
            that packs the value releases them.
        beside: Buffers that have to travel in the same message.
    """

    data: bytes
    modules: frozenset[str] = _NO_MODULES
    values: tuple[str, ...] = ()
    beside: Sequence[memoryview] = ()


class Deposited:
    """A value that is packed already; the base class of `Shared`.

    In a call on the cluster whose depot keeps the value, it is pickled as a few references.

    Args:
        depot: The depot that keeps it, or None if it is not kept anywhere.
        parcel: The packed value.
    """

    __deposited__ = True  # Lets `watch` recognise the class without importing it.

    def __init__(self, depot: "Depot | None", parcel: Parcel) -> None:
        self._depot = depot
        self._modules = parcel.modules
        self._stream, references = _opened(parcel.data)
        self._references = [reference for reference in references if reference is not None]

    def value(self) -> Any:
        """Unpickle the value from the depot."""
        # Without a depot there are no references to open.
        open = cast(Open, getattr(self._depot, "open", None))  # noqa: A001
        return _load(self._stream, map(open, self._references), open)

    def __reduce__(self) -> tuple[Any, ...]:
        packing = _current.get()
        if packing is None or packing.depot() is not self._depot:
            # The receiver cannot reach this depot, so the value itself travels.
            return itself, (self.value(),)
        packing.modules |= self._modules
        stream = (
            packing.stand_in(self._stream) if isinstance(self._stream, Reference) else self._stream
        )
        return _loads, (stream, *map(packing.stand_in, self._references))

    # A deposited value never changes, so it is its own copy. Without these methods, `copy` would
    # use `__reduce__`.

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def pack(
    value: Any, what: str, find_depot: FindDepot | None = None, *, named: bool = False
) -> Parcel:
    """Pickle any value; its large parts go to a depot, if there is one.

    Args:
        value: The value to pickle.
        what: Its name in an error message.
        find_depot: Returns the depot that keeps large values; None: they stay in the pickle.
        named: As for `dumps`.

    Raises:
        SerialisationError: It cannot be pickled; the message names the attribute that is to blame.
        SystemFailureError: There is no room for its large parts.
    """
    if find_depot is None:
        return Parcel(*dumps(value, what, named=named))
    packing = _Packing(find_depot)
    token = _current.set(packing)
    try:
        data, modules = dumps(value, what, packing, named=named)
    finally:
        _current.reset(token)
    return packing.parcel(data, modules | packing.modules)


def pack_result(value: Any, what: str, keep: Keep | None) -> Parcel:
    """Pickle the result of a call; its large parts go to a store, or beside the parcel.

    Args:
        value: The value to pickle.
        what: Its name in an error message.
        keep: Stores a buffer, if it can; None: all buffers stay in the pickle.

    Raises:
        SerialisationError: It cannot be pickled; the message names the attribute that is to blame.
    """
    if keep is None:
        return Parcel(*dumps(value, what))
    large: list[memoryview] = []
    is_read_only = False

    def callback(buffer: pickle.PickleBuffer) -> bool:
        nonlocal is_read_only
        raw = buffer.raw()
        is_read_only |= raw.readonly
        if raw.nbytes < LARGE_BUFFER:
            return True
        large.append(raw)
        return False

    data, modules = dumps(value, what, callback)
    if is_read_only:
        # Pickled once more, with copies of read-only arrays: these may be parts of an argument in
        # shared memory, but the caller must be able to write to a result.
        large.clear()
        data, modules = dumps(value, what, callback, unshared=True)
    references = [keep(buffer) for buffer in large]
    beside = [
        buffer for buffer, reference in zip(large, references, strict=True) if reference is None
    ]
    return Parcel(_sealed(_kept(data, keep), references), modules, beside=beside)


def pack_plain(data: bytes, keep: Keep | None) -> bytes:
    """A pickle, or arguments with their inputs, as a parcel if large and there is a place for it.

    Args:
        data: The pickle, with all its buffers in it; or what `with_inputs` returned.
        keep: Stores it, if it can; None: there is no place.
    """
    return data if keep is None else _sealed(_kept(data, keep), ())


def _kept(data: bytes, keep: Keep) -> bytes | Reference:
    """Return a result's pickle, or a reference to it if it is large and stored."""
    return data if len(data) < LARGE_STREAM else keep(memoryview(data)) or data


def unpack(
    data: bytes | memoryview,
    open: Open | None = None,  # noqa: A002 - what it is for
    beside: Iterable[memoryview | bytearray] = (),
    result: Callable[[int], bytes] | None = None,
) -> Any:
    """Unpickle a blob, which may be a pickle or a parcel.

    Args:
        data: The blob.
        open: Returns the buffer of a reference; None where only pickles come.
        beside: The buffers that travelled in the same message.
        result: Returns the pickled result of another call in the same message, by its number.
    """
    first = data[:1]
    if first == _WITH_INPUTS:
        arguments, inputs = loads(memoryview(data)[1:])
        if result is not None:
            inputs = [result(blob) if type(blob) is int else blob for blob in inputs]
        with giving(unpacked(inputs, lambda blob: unpack(blob, open))):
            return unpack(arguments, open)
    if first != _FIRST:
        return loads(data)
    assert open is not None
    stream, references = _opened(data)
    whole = open(stream) if isinstance(stream, Reference) else stream
    if whole[:1] == _WITH_INPUTS:
        return unpack(whole, open, result=result)
    travelled = iter(beside)
    buffers = [
        next(travelled) if reference is None else open(reference) for reference in references
    ]
    return loads(whole, buffers=buffers)


def references_of(data: bytes | memoryview) -> list[Reference]:
    """Return all references in a blob."""
    if data[:1] == _WITH_INPUTS:
        arguments, inputs = loads(memoryview(data)[1:])
        blobs = [blob for blob in (arguments, *inputs) if type(blob) is not int]
        return [part for blob in blobs for part in references_of(blob)]
    if data[:1] != _FIRST:
        return []
    stream, references = _opened(data)
    return [part for part in (stream, *references) if isinstance(part, Reference)]


def with_beside_stored(parcel: Parcel, store: Callable[[memoryview], Reference]) -> Parcel:
    """Return a parcel that refers to the buffers which travelled beside it.

    Args:
        parcel: The parcel.
        store: Stores such a buffer.
    """
    stream, references = _opened(parcel.data)
    travelled = iter(parcel.beside)
    values = list(parcel.values)
    for number, reference in enumerate(references):
        if reference is None:
            references[number] = stored = store(next(travelled))
            values.append(stored.key)
    return Parcel(_sealed(stream, references), parcel.modules, tuple(values))


def with_inputs(arguments: bytes, inputs: Sequence[bytes | int]) -> bytes:
    """Put arguments together with the results that stand-ins in them stand for.

    Args:
        arguments: The blob of the arguments.
        inputs: The blobs of the results, by the numbers of the stand-ins; in place of a blob, the
            number of a call in the same message.
    """
    packed = dumps_plain((arguments, list(inputs)))
    assert packed is not None  # Bytes and numbers only.
    return _WITH_INPUTS + packed


def without_inputs(arguments: bytes) -> bytes:
    """Return the blob of arguments without the results that were put beside them."""
    if arguments[:1] != _WITH_INPUTS:
        return arguments
    own: bytes = loads(memoryview(arguments)[1:])[0]
    return own


class _Packing:
    """Collects the large buffers of one value for `pack` while it is being pickled."""

    def __init__(self, find_depot: FindDepot) -> None:
        self._find_depot: FindDepot | None = find_depot
        self._depot: Depot | None = None
        self._error: Exception | None = None
        self.modules: frozenset[str] = frozenset()
        self._parts: list[memoryview | Reference] = []
        self._stand_ins: dict[int, tuple[pickle.PickleBuffer, Reference]] = {}

    def depot(self) -> "Depot | None":
        if self._find_depot is not None:
            find, self._find_depot = self._find_depot, None
            try:
                self._depot = find()
            except Exception as error:
                # Raised after pickling, so that a cluster that does not start is not taken for an
                # error of the value.
                self._error = error
        return self._depot

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """Tell the pickler whether a buffer stays in the pickle."""
        if id(buffer) in self._stand_ins:
            self._parts.append(self._stand_ins[id(buffer)][1])
            return False
        raw = buffer.raw()
        if raw.nbytes < LARGE_BUFFER or self.depot() is None:
            return True
        self._parts.append(raw)
        return False

    def stand_in(self, reference: Reference) -> pickle.PickleBuffer:
        """Return an empty buffer that is pickled as if it held the buffer of a reference."""
        buffer = pickle.PickleBuffer(b"")
        self._stand_ins[id(buffer)] = buffer, reference
        return buffer

    def parcel(self, data: bytes, modules: frozenset[str]) -> Parcel:
        if len(data) >= LARGE_STREAM:
            self.depot()
        if self._error is not None:
            raise self._error
        depot = self._depot
        if depot is None:
            return Parcel(data, modules)
        values: list[str] = []

        def deposited(part: memoryview | Reference) -> Reference:
            if isinstance(part, Reference):
                depot.retain([part.key])
            else:
                part = depot.deposit(part)
            values.append(part.key)
            return part

        try:
            references = [deposited(part) for part in self._parts]
            stream = data if len(data) < LARGE_STREAM else deposited(memoryview(data))
        except BaseException:
            depot.release(values)
            raise
        return Parcel(_sealed(stream, references), modules, tuple(values))


_current: ContextVar[_Packing | None] = ContextVar("distribute_challenge_packing", default=None)


def _sealed(stream: bytes | Reference, references: Sequence[Reference | None]) -> bytes:
    if not references and not isinstance(stream, Reference):
        return stream
    # Bare tuples, because the reader would have to import a class.
    parts = [None if reference is None else tuple(reference) for reference in references]
    packed = dumps_plain((tuple(stream) if isinstance(stream, Reference) else stream, parts))
    assert packed is not None  # Bytes, texts and numbers only.
    return _FIRST + packed


def _opened(data: bytes | memoryview) -> tuple[bytes | Reference, list[Reference | None]]:
    if data[:1] != _FIRST:
        return bytes(data), []
    stream, parts = loads(memoryview(data)[1:])
    references = [None if part is None else Reference(*part) for part in parts]
    return Reference(*stream) if isinstance(stream, tuple) else stream, references


def _load(stream: bytes | Reference, buffers: Iterable[memoryview | bytearray], open: Open) -> Any:  # noqa: A002
    return loads(open(stream) if isinstance(stream, Reference) else stream, buffers=buffers)


def _loads(stream: bytes | memoryview, *buffers: memoryview) -> Any:
    return loads(stream, buffers=buffers)
