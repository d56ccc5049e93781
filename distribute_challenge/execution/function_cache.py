"""The cache of functions that a worker process has loaded."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from distribute_challenge.execution.setup import set_up_first
from distribute_challenge.serialisation import (
    LoadedFunction,
    Open,
    Script,
    UnpackedFunction,
    load_function,
    unpack_function,
)

if TYPE_CHECKING:
    from distribute_challenge.serialisation.modules.project_importer import ProjectImporter

__all__ = ["CachedFunction", "FunctionCache", "OtherVersionError"]

_KEPT_FUNCTIONS = 128  # A guess: more functions than one study calls, fewer than fill a memory.
_KEPT_MODULES = 2000  # A guess, too: for all these functions together.


class OtherVersionError(Exception):
    """A function needs another version of a module than the one before it."""


class CachedFunction(NamedTuple):
    """A function that is ready to be called.

    Args:
        loaded: The function.
        again: Loads the function anew, if it carries state that a call could change; None: all
            calls share ``loaded``.
    """

    loaded: LoadedFunction
    again: Callable[[], LoadedFunction] | None


class FunctionCache:
    """The functions that this process has loaded; it keeps the most recently used ones.

    Args:
        fetch: Returns the payload for a digest, or None if it is not available.
        importer: Makes the modules of the user's project importable, and its script ``__main__``;
            None in the client's own process, which has both.
    """

    def __init__(
        self, fetch: Callable[[str], bytes | None], importer: "ProjectImporter | None" = None
    ) -> None:
        self._fetch = fetch
        self._importer = importer
        self._entries: dict[str, _Entry] = {}
        self._known: dict[Any, Any] = {}

    def load(
        self,
        digest: str,
        open: Open | None = None,  # noqa: A002
        *,
        follows: bool = False,
    ) -> CachedFunction | None:
        """Return the function of a digest, with its modules importable.

        Args:
            digest: The digest of the function's payload.
            open: Returns the large values that it captures.
            follows: Whether the modules of the function before it stay importable, too, as its
                results are still to be pickled.

        Returns:
            The function, or None if its payload is not available.

        Raises:
            ValueMissingError: One of the large values is not available.
            OtherVersionError: It follows a function with another version of one of its modules.
        """
        entry = self._entries.pop(digest, None)
        if entry is None:
            payload = self._fetch(digest)
            if payload is None:
                return None
            unpacked = unpack_function(payload)
            entry = _Entry(unpacked._replace(modules=self._shared(unpacked.modules)))
        if self._importer is not None:
            entry.activate(self._importer, follows=follows)
        found = entry.load(open)
        self._entries[digest] = entry
        if len(self._entries) > _KEPT_FUNCTIONS:
            del self._entries[next(iter(self._entries))]
        return found

    def _shared(self, modules: Sequence[Any]) -> Sequence[Any]:
        """Return equal modules that other functions brought, if any: modules may be large."""
        if len(self._known) > _KEPT_MODULES:
            self._known.clear()
        modules = tuple(self._known.setdefault(module, module) for module in modules)
        shared: Sequence[Any] = self._known.setdefault(modules, modules)
        return shared


class _Entry:
    """One function in the cache, with the namespace of its script."""

    def __init__(self, unpacked: UnpackedFunction) -> None:
        self._unpacked = unpacked
        self._script = Script(unpacked.script)
        self._is_defined = False
        self._kept: CachedFunction | None = None

    def activate(self, importer: "ProjectImporter", *, follows: bool) -> None:
        if not follows:
            importer.activate(self._unpacked.modules)
        elif not importer.add(self._unpacked.modules):
            raise OtherVersionError
        self._script.activate()

    def load(self, open: Open | None) -> CachedFunction:  # noqa: A002
        if self._kept is not None:
            return self._kept
        loaded = self._loaded(open)
        found = CachedFunction(
            loaded, partial(self._loaded, open) if self._unpacked.carries_state else None
        )
        # A function that holds large values is loaded each time: otherwise the cache would keep the
        # values alive when no client needs them.
        if not (loaded.holds_values or self._unpacked.carries_state):
            self._kept = found
        return found

    def _loaded(self, open: Open | None) -> LoadedFunction:  # noqa: A002
        with self._script.loading():
            loaded = load_function(self._unpacked.data, open)
        if not self._is_defined:
            self._is_defined = True
            self._script.define(loaded.function)
        return set_up_first(loaded, self._script)
