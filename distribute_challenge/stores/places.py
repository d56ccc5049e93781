"""The stores of one client, in the order in which workers search them."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from distribute_challenge.stores.base import Reference, Store
from distribute_challenge.stores.record import Value

__all__ = ["Places", "keys_by_store"]


class Places:
    """The stores between which the client's `Depot` chooses.

    Args:
        stores: Every worker sees the last one, which also takes values that do not fit elsewhere.

    Attributes:
        names: The stores' names.
        used: The stores that get new values: the first one, until `use` names others.
        everywhere: The store that every worker sees.
        near: The others.
    """

    def __init__(self, stores: Sequence[Store]) -> None:
        self.names = tuple(store.name for store in stores)
        self._stores = tuple(stores)
        self.used = self._stores[:1]
        self.everywhere = self._stores[-1]
        self.near = self._stores[:-1]

    @property
    def are_mapped(self) -> bool:
        """Whether new values can be read again without a copy."""
        return all(store.maps for store in self.used)

    def use(self, stores: Iterable[Store]) -> None:
        """Put new values into these stores; if there are none, into the one that all workers see.

        Values that are kept already stay where they are.
        """
        wanted = set(stores)
        self.used = tuple(store for store in self._stores if store in wanted) or self._stores[-1:]

    def holder(self, reference: Reference) -> Store:
        """Return the store in which a worker has left a result."""
        found = (store for store in self.near if store.holds(*reference))
        return next(found, self.everywhere)

    def find(self, reference: Reference, *, writable: bool = False) -> memoryview | None:
        """Return a value, or None if it is in no store.

        Args:
            reference: The value.
            writable: Return memory that can be written to, without an effect on the value.

        Raises:
            SystemFailureError: A store does not answer.
        """
        for store in self._stores:
            data = store.copy(*reference) if writable else store.get(*reference)
            if data is not None:
                return data
        return None

    def renew(self, kept: Mapping[Store, Collection[str]]) -> None:
        """Tell the stores that the client lives and has these values. It never raises."""
        for store in self._stores:
            store.renew(kept.get(store, ()))

    def close(self) -> None:
        """Free all values."""
        for store in self._stores:
            store.close()


def keys_by_store(values: Iterable[Value]) -> dict[Store, list[str]]:
    """Return the keys of the values that each store has; the caller holds the depot's lock."""
    keys: dict[Store, list[str]] = {}
    for value in values:
        for store in value.kept:
            keys.setdefault(store, []).append(value.reference.key)
    return keys
