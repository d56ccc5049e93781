"""A value as it travels to the calls that need it, packed once for all of them."""

from typing import TYPE_CHECKING, NamedTuple

from distribute_challenge.serialisation.parcels import Parcel, with_beside_stored

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot, Hold

__all__ = ["Packed"]


class Packed(NamedTuple):
    """A packed value, for as long as its large parts are kept.

    Args:
        depot: The depot that keeps its large parts, or that it was packed for; None: none.
        parcel: The packed value.
        hold: Keeps the large parts in the depot; None: there are none.
    """

    depot: "Depot | None"
    parcel: Parcel
    hold: "Hold | None" = None

    @property
    def is_plain(self) -> bool:
        """Whether all of it lies in the pickle, which is the same for all depots."""
        return not (self.parcel.values or self.parcel.beside)

    def for_depot(self, depot: "Depot | None") -> "Packed | None":
        """Return the value as calls take it whose large values lie in a depot.

        Parts that have travelled in a reply are stored there.

        Args:
            depot: The depot; None: the calls have none.

        Returns:
            The packed value; None if the calls cannot reach its parts.

        Raises:
            SystemFailureError: There is no room for parts that are to be stored.
        """
        own = self.parcel
        if not own.beside:
            if depot is self.depot:
                return self
            return None if own.values else Packed(depot, own)
        if depot is None or (own.values and depot is not self.depot):
            return None
        parcel = with_beside_stored(own, depot.deposit)
        hold = depot.hold(parcel.values)
        depot.release(parcel.values[len(own.values) :])
        return Packed(depot, parcel, hold)
