"""The functions of one map-reduce, as they travel to workers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distribute_challenge.core.signature import function_name
from distribute_challenge.mapreduce.keys import Key
from distribute_challenge.mapreduce.tables import Fold, FoldTable, GroupTable, Reducer, Table

__all__ = ["Steps"]


@dataclass(frozen=True)
class Steps:
    """What is done with the items; both waves of calls have all of it.

    A call of the second wave unpickles what the user's classes and modules have made in the first,
    so it needs the mapper's modules, too.

    Args:
        mapper: Makes pairs of an item.
        fold: Makes one value of two; None: there is a reducer.
        reducer: Makes a value of a key and all its values; None: there is a fold.
        combiner: Does so for the values of a few items, before they travel; None: nothing does.
        key: Turns the mapper's keys into keys with stable bytes; None: they have them.
        partitions: Number of parts into which the keys are divided.
        is_sorted: Whether each part is sorted by key.
    """

    mapper: Callable[[Any], Any]
    fold: Fold | None
    reducer: Reducer | None
    combiner: Reducer | None
    key: Callable[[Any], Key] | None
    partitions: int
    is_sorted: bool

    def table(self, limit: int, *, combines: bool = False) -> Table:
        """Make a table for pairs.

        Args:
            limit: Bytes of memory that it may take, about.
            combines: Whether the combiner is used.
        """
        if self.fold is not None:
            return FoldTable(limit, self.fold)
        return GroupTable(limit, self.combiner if combines else None)

    @property
    def last_name(self) -> str:
        """Name of the function of the second wave."""
        return function_name(self.fold or self.reducer)  # type: ignore[arg-type] # one is there
