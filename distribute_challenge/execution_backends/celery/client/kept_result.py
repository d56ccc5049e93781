"""A result that stays as its worker packed it, until a caller asks for the value."""

from typing import Any

from distribute_challenge.core.section import Section
from distribute_challenge.core.unopened import Unopened
from distribute_challenge.errors import ValueLostError
from distribute_challenge.serialisation import Parcel, references_of
from distribute_challenge.serialisation.modules.project_modules import is_project_module
from distribute_challenge.serialisation.outcomes import open_section
from distribute_challenge.serialisation.packed import Packed
from distribute_challenge.stores import Depot, Reference, Store

__all__ = ["KeptResult"]


class KeptResult:
    """One result, whose large parts lie in stores of its client.

    Args:
        section: The section of the reply that has the result.
        depot: The client's depot.
    """

    def __init__(self, section: Section, depot: Depot) -> None:
        self._section = section
        self._depot = depot
        self._mapped: dict[str, memoryview] = {}
        self._references = references_of(section.blob)
        hold = depot.take_over(self._references) if self._references else None
        self._packed = Packed(
            depot,
            Parcel(
                bytes(section.blob),
                frozenset(section.modules),
                values=() if hold is None else hold.keys,
                beside=[memoryview(buffer) for buffer in section.beside],
            ),
            hold,
        )

    def unopened(self) -> Unopened:
        """Return the result for the call's future."""
        # A call that needs the value gets its modules, too, and this process must have them.
        is_known = all(map(is_project_module, self._section.modules))
        return Unopened(self._load, self._packed if is_known else None)

    def map_from(self, store: Store) -> None:
        """Map the parts that a store of this machine has, as it is about to be removed."""
        for reference in self._references:
            if (data := store.copy(*reference)) is not None:
                self._mapped[reference.key] = data

    def _load(self) -> Any:
        return open_section(self._section, self._open)

    def _open(self, reference: Reference) -> memoryview:
        mapped = self._mapped.pop(reference.key, None)
        if mapped is not None:
            return mapped
        try:
            return self._depot.open(reference, writable=True)
        except ValueLostError:
            raise ValueLostError(
                "a large result is gone from where its worker put it; make the call again",
                [reference.key],
            ) from None
