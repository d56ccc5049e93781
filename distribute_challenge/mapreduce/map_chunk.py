"""A call of the first wave: maps some items, combines the pairs, and divides them by partition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from distribute_challenge.core.outcome import add_note
from distribute_challenge.core.signature import call_text, function_name, value_text
from distribute_challenge.errors import CallError
from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter, encoded
from distribute_challenge.mapreduce.keys import Pairs, divided, refuse_unhashable
from distribute_challenge.mapreduce.spill import Spill
from distribute_challenge.mapreduce.steps import Steps
from distribute_challenge.mapreduce.tables import Table
from distribute_challenge.settings import shuffle_memory

__all__ = ["Items", "MapChunk"]

# Pairs that are taken from a mapper at a time; then the size of the table is looked at.
BATCH = 1024


class Items(NamedTuple):
    """Items of one call.

    Args:
        first: Number of the first of them among all items.
        items: The items.
    """

    first: int
    items: Sequence[Any]

    def __repr__(self) -> str:
        # In the note of an error, behind the name of a mapper, which gets one of them at a time.
        last = self.first + len(self.items) - 1
        return f"item {last}" if last == self.first else f"items {self.first} to {last}"


class MapChunk:
    """The function of the first wave.

    Args:
        steps: The functions of the user.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.__name__ = function_name(steps.mapper)

    def __call__(self, items: Items, *, partitions: int) -> Blocks:
        """Map items.

        Args:
            items: The items.
            partitions: Number of partitions into which the pairs are divided.

        Returns:
            The pairs, with a section for each partition.
        """
        limit = shuffle_memory()
        with Spill() as spill:
            table = self._steps.table(limit, combines=True)
            writer = BlockWriter(partitions, limit, spill)
            for number, item in enumerate(items.items, items.first):
                try:
                    for _ in self._added(item, table):
                        if table.is_full:
                            self._write(table, writer, partitions)
                except BaseException as error:
                    add_note(error, f"item {number}: {call_text(self.__name__, (item,), {})}")
                    raise
            self._write(table, writer, partitions)
            return writer.blocks()

    def _added(self, item: Any, table: Table) -> Iterator[None]:
        """Add the pairs of one item to a table, some at a time."""
        found, key = self._steps.mapper(item), self._steps.key
        if isinstance(found, Mapping) and key is None:
            if found:
                table.add(list(found), list(found.values()))
                yield
            return
        if not isinstance(found, Iterable):
            raise CallError(
                f"{self.__name__} returned {value_text(found)}, expected pairs of a key and a "
                f"value: return a list of them or a dictionary, or write a generator"
            )
        pairs = iter(found.items() if isinstance(found, Mapping) else found)
        while batch := list(islice(pairs, BATCH)):
            keys, values = self._unzipped(batch)
            keys = keys if key is None else list(map(key, keys))
            try:
                table.add(keys, values)
            except TypeError:
                refuse_unhashable(keys)
                raise
            yield

    def _unzipped(self, batch: Sequence[Any]) -> Pairs:
        try:
            # Faster than `zip`, and each pair comes here.
            return [key for key, _ in batch], [value for _, value in batch]
        except (TypeError, ValueError) as error:
            wrong = next(each for each in batch if not _is_pair(each))
            raise CallError(
                f"{self.__name__} gave {value_text(wrong)}, expected a pair of a key and a value, "
                f"as in: yield word, 1"
            ) from error

    def _write(self, table: Table, writer: BlockWriter, partitions: int) -> None:
        """Move the pairs of a table to the sections of their partitions."""
        what = f"what {self.__name__} gave"
        for number, pairs in enumerate(divided(table.pairs(), partitions)):
            for block in table.blocks(pairs):
                writer.add(number, encoded(block, what))
        table.clear()


def _is_pair(thing: Any) -> bool:
    return isinstance(thing, tuple | list) and len(thing) == 2
