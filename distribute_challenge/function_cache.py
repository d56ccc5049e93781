"""The functions that a worker process has loaded."""

from collections.abc import Callable
from typing import Any

from distribute_challenge.serialisation import LoadedFunction, Open, ProjectImporter, load_function, load_modules

__all__ = ["FunctionCache"]

_KEPT_FUNCTIONS = 128  # A guess: more functions than one study calls, fewer than fill a memory.


class FunctionCache:
    """The functions that this process has loaded, the latest used kept.

    Args:
        fetch: Gives the payload for a digest, or None if nobody has it.
        importer: Makes the user's own modules importable; None in the client's own process, which has them.
    """

    def __init__(self, fetch: Callable[[str], bytes | None], importer: ProjectImporter | None = None) -> None:
        self._fetch = fetch
        self._importer = importer
        self._loaded: dict[str, tuple[list[Any], LoadedFunction | bytes]] = {}

    def load(self, digest: str, open: Open | None = None) -> LoadedFunction | None:  # noqa: A002
        """The function of a digest with its modules importable, or None if its payload is not to be had.

        Args:
            digest: The function's name.
            open: Gives the large values that it captures.

        Raises:
            ValueMissingError: One of them is not to be had.
        """
        if digest in self._loaded:
            modules, function = self._loaded[digest] = self._loaded.pop(digest)
            self._activate(modules)
            return load_function(function, open) if isinstance(function, bytes) else function
        payload = self._fetch(digest)
        if payload is None:
            return None
        modules, data = load_modules(payload)
        self._activate(modules)
        loaded = load_function(data, open)
        # One that holds large values is loaded each time: kept, it would keep them when nobody else needs them.
        self._loaded[digest] = modules, data if loaded.holds_values else loaded
        if len(self._loaded) > _KEPT_FUNCTIONS:
            del self._loaded[next(iter(self._loaded))]
        return loaded

    def _activate(self, modules: list[Any]) -> None:
        if self._importer is not None:
            self._importer.activate(modules)
