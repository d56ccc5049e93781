"""Pickle a function for its calls, and again only when something that it uses has changed.

What a function of `__main__` or a notebook uses travels by value, so it must be the value at the
time of the call and not of the first call. Comparing costs less than pickling: as long as
everything the function refers to is the same (`watch` says what can be compared), the payload stays.
A function that captures a long list, an array or an object of most kinds is pickled again for every
call; its digest tells whether it has to be sent again. Large values that it captures lie in the depot (`parcels`),
so what is pickled again is small.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import iscoroutinefunction, unwrap
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from distribute_challenge.core.messages import FunctionPayload
from distribute_challenge.core.setup import Setup
from distribute_challenge.core.signature import function_name
from distribute_challenge.core.sizes import as_size
from distribute_challenge.serialisation.modules.project_modules import ProjectModule, Sources
from distribute_challenge.serialisation.parcels import (
    LARGE_BUFFER,
    FindDepot,
    Open,
    Parcel,
    pack,
    references_of,
    unpack,
)
from distribute_challenge.serialisation.pickling import dumps, dumps_plain, loads
from distribute_challenge.serialisation.script.definition_pickler import definitions
from distribute_challenge.serialisation.script.namespace import Definition, ScriptParts
from distribute_challenge.serialisation.state import carries_state
from distribute_challenge.serialisation.watch import MISSING, Watch, references

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot, Hold

__all__ = [
    "SAME_BURST",
    "LoadedFunction",
    "PortableFunction",
    "UnpackedFunction",
    "load_function",
    "unpack_function",
]

#: Seconds for which source files are assumed to be unchanged. To check a file takes as long as to
#: submit a call, and a loop submits hundreds of calls in this time.
SAME_BURST = 0.01

LARGE = (
    1_000_000  # Bytes; a function above this most likely captures data that should be an argument.
)


class LoadedFunction(NamedTuple):
    """A function that a worker has loaded.

    Args:
        function: The function to call.
        retry_on: Exception classes after which a call is tried again.
        is_async: Whether a call returns a coroutine that has to be run.
        holds_values: Whether it holds large values that it shares with other calls.
        setup: What each process has to run once before the first call, and its key; None: nothing.
    """

    function: Callable[..., Any]
    retry_on: tuple[type[BaseException], ...]
    is_async: bool
    holds_values: bool = False
    setup: tuple[str, Callable[[], Any]] | None = None


class UnpackedFunction(NamedTuple):
    """A function's payload, taken apart and not loaded yet.

    Args:
        modules: Modules of the user's project that it needs, to be made importable first.
        script: The parts of its script that travel along.
        data: The function's own bytes.
        carries_state: Whether a call could change what these bytes hold, so that they have to be
            loaded anew for each call.
    """

    modules: Sequence[ProjectModule]
    script: ScriptParts
    data: bytes
    carries_state: bool


class PortableFunction:
    """A function on the client, with its current payload; each `Distributable` has one.

    Args:
        function: The function to call.
        name: Readable name for messages.
        retry_on: Exception classes that travel with it.
        setup: What each process has to run once before the first call; None: nothing.
        modules: The user's own modules that travel with it, whether it refers to them or not.

    Guarantees: the large values that the current payload refers to stay in their depot as long as
    this object lives.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        retry_on: tuple[type[BaseException], ...],
        setup: Callable[[], Any] | None = None,
        modules: frozenset[str] = frozenset(),
    ) -> None:
        self._function = function
        self._name = name
        self._retry_on = retry_on
        self._setup = setup
        self._extra = modules
        self._watch: Watch | None = None
        self._carries_state = False
        self._script = ScriptParts()
        self._version = 0  # `Definitions.version` when the payload was made.
        self._sources: Sources | None = None
        self._with_files = False
        self._parcel: Parcel | None = None
        self._payload: FunctionPayload | None = None
        self._is_large = False
        self._depot: Depot | None = None
        self._hold: Hold | None = None

    def payload(
        self,
        modules: frozenset[str] = frozenset(),
        find_depot: FindDepot | None = None,
        *,
        within: float = 0.0,
        shares_files: bool = False,
    ) -> FunctionPayload:
        """Return the payload as of now.

        Args:
            modules: The user's own modules that the call's arguments refer to.
            find_depot: Returns the depot that keeps the large values that it captures; None: they
                are part of the payload.
            within: Seconds; source files, and functions of the script that this one does not
                mention, that were checked no longer ago than this are taken to be unchanged.
            shares_files: Whether the workers see this machine's files, so that the files of the
                project's packages need not travel.

        Raises:
            SerialisationError: The function captures something that cannot be pickled.
            SystemFailureError: There is no room for its large values.
        """
        if not (shares_files or self._with_files):
            self._with_files = True
            self._sources = self._payload = None
        if not modules <= self._extra:
            self._extra |= modules
            self._payload = None
        if (
            self._payload is None
            or not self._is_fresh(within)
            or (self._is_large and self._is_elsewhere(find_depot))
        ):
            self._payload = self._make(find_depot)
        return self._payload

    def _is_elsewhere(self, find_depot: FindDepot | None) -> bool:
        """Whether its large values lie in a depot that this call's cluster does not see."""
        return (find_depot and find_depot()) is not self._depot

    def _is_fresh(self, within: float) -> bool:
        if (
            self._watch is None
            or not self._watch.is_unchanged()
            or definitions.version(within) != self._version
        ):
            return False
        return self._sources is None or self._sources.is_fresh(within)

    def _make(self, find_depot: FindDepot | None) -> FunctionPayload:
        from hashlib import (
            sha256,
        )  # Loads OpenSSL, which would slow down the import of this library.

        watched = [self._function, *_functions_of(self._setup)]
        self._watch, self._version = Watch.over(watched), definitions.version()
        parcel = self._packed(find_depot)
        names = parcel.modules | self._extra
        is_new = (
            self._sources is None or self._sources.names != names or not self._sources.is_fresh()
        )
        if self._sources is None or is_new:
            self._sources = Sources(names, with_files=self._with_files)
        script = definitions.parts(
            self._function, frozenset(module.name for module in self._sources.modules)
        )
        has_state = carries_state(self._function)
        current = parcel, script, has_state
        if (
            not is_new
            and self._payload is not None
            and current == (self._parcel, self._script, self._carries_state)
        ):
            return self._payload
        self._parcel, self._script, self._carries_state = current
        payload = _packed_function(self._sources.modules, script, parcel.data, has_state)
        if len(parcel.data) > LARGE:
            self._warn_of_size(len(parcel.data))
        return FunctionPayload(sha256(payload).hexdigest(), payload, self._name, parcel.values)

    def _packed(self, find_depot: FindDepot | None) -> Parcel:
        setup = None if self._setup is None else (_key_of(self._setup), self._setup)
        value = self._function, self._retry_on, setup
        parcel = pack(value, f"the function {self._name}", find_depot)
        self._is_large = bool(parcel.values) or len(parcel.data) >= LARGE_BUFFER
        self._depot = find_depot() if find_depot is not None and self._is_large else None
        before, self._hold = self._hold, None
        if parcel.values:
            assert self._depot is not None
            # `pack` has counted one user for each value; a hold lasts as long as this object.
            self._hold = self._depot.hold(parcel.values)
            self._depot.release(parcel.values)
        if before is not None:
            before.close()
        return parcel

    def _warn_of_size(self, size: int) -> None:
        sizes = [(len(dumps(value, name).data), name) for name, value in captured(self._function)]
        largest = max(sizes, default=(0, "its defaults"))[1]
        warnings.warn(
            f"{self._name} carries {as_size(size)} of captured values, the largest is {largest!r}; "
            f"pass it as an argument, or make it on the worker",
            stacklevel=5,
        )


def _packed_function(
    modules: Sequence[ProjectModule], script: ScriptParts, data: bytes, has_state: bool
) -> bytes:
    named = {name: tuple(definition) for name, definition in script.definitions.items()}
    packed = dumps_plain(
        (
            [tuple(module) for module in modules],
            (script.filename, script.source, named),
            data,
            has_state,
        )
    )
    assert packed is not None  # Strings, flags and bytes only.
    return packed


def _functions_of(setup: Callable[[], Any] | None) -> tuple[Any, ...]:
    """Return what a setup consists of, to be watched for changes."""
    if setup is None:
        return ()
    return (setup.function, setup.args) if isinstance(setup, Setup) else (setup,)


def _key_of(setup: Callable[[], Any]) -> str:
    """Return the key by which a process knows whether it has run a setup."""
    if isinstance(setup, Setup) and setup.key:
        return setup.key
    from hashlib import sha256  # Imported here for the same reason as above.

    data, names = dumps(setup, f"the setup {function_name(setup)}")
    modules = dumps_plain([tuple(module) for module in Sources(names).modules])
    assert modules is not None  # Strings and flags only.
    return sha256(data + modules).hexdigest()


def unpack_function(payload: bytes) -> UnpackedFunction:
    """Take a payload apart; the first step on the worker."""
    modules, (filename, source, named), data, has_state = loads(payload)
    found: Mapping[str, Definition] = {name: Definition(*parts) for name, parts in named.items()}
    return UnpackedFunction(
        [ProjectModule(*module) for module in modules],
        ScriptParts(filename, source, found),
        data,
        has_state,
    )


def load_function(data: bytes, open: Open | None = None) -> LoadedFunction:  # noqa: A002
    """Load a function; the second step on the worker, once its modules can be imported.

    Args:
        data: The function's own bytes.
        open: Returns the large values that it captures; None where they are part of the bytes.
    """
    function, retry_on, setup = unpack(data, open)
    # A decorated `async def` also returns a coroutine.
    plain = unwrap(function) if isinstance(function, FunctionType) else function
    is_async = iscoroutinefunction(plain) or iscoroutinefunction(getattr(plain, "__call__", None))  # noqa: B004
    return LoadedFunction(function, retry_on, is_async, bool(references_of(data)), setup)


def captured(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield the closure variables and globals that travel with a function: names and values."""
    for name, holder, key in references(function):
        value = holder.get(key, MISSING)
        if value is not MISSING:
            yield name, value
