"""A call of the first wave: maps some items, combines the pairs, and divides them by partition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from distribute_challenge.core.outcome import add_note
from distribute_challenge.core.signature import call_text, function_name, value_text
from distribute_challenge.errors import CallError
from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter
from distribute_challenge.mapreduce.keys import divided
from distribute_challenge.mapreduce.spill import Spill
from distribute_challenge.mapreduce.steps import Steps
from distribute_challenge.mapreduce.tables import Table
from distribute_challenge.serialisation import dumps
from distribute_challenge.settings import shuffle_memory

__all__ = ["MapChunk"]

BATCH = (
    1024  # Pairs that are taken from a mapper at a time; then the size of the table is looked at.
)


class MapChunk:
    """The function of the first wave.

    Args:
        steps: The functions of the user.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.__name__ = function_name(steps.mapper)

    def __call__(self, first: int, items: Sequence[Any]) -> Blocks:
        """Map items.

        Args:
            first: Number of the first of them among all items.
            items: The items.

        Returns:
            The pairs, with a section for each partition.
        """
        limit = shuffle_memory()
        with Spill() as spill:
            table = self._steps.table(limit, combines=True)
            writer = BlockWriter(self._steps.partitions, limit, spill)
            for number, item in enumerate(items, first):
                try:
                    for _ in self._added(item, table):
                        if table.is_full:
                            self._write(table, writer)
                except BaseException as error:
                    add_note(error, f"item {number}: {call_text(self.__name__, (item,), {})}")
                    raise
            self._write(table, writer)
            return writer.blocks()

    def _added(self, item: Any, table: Table) -> Iterator[None]:
        """Add the pairs of one item to a table, some at a time."""
        found, key = self._steps.mapper(item), self._steps.key
        if isinstance(found, Mapping) and key is None:
            if found:
                table.add(found.items())
                yield
            return
        if not isinstance(found, Iterable):
            raise CallError(
                f"{self.__name__} returned {value_text(found)}, expected pairs of a key and a "
                f"value: return a list of them or a dictionary, or write a generator"
            )
        pairs = iter(found.items() if isinstance(found, Mapping) else found)
        while batch := list(islice(pairs, BATCH)):
            self._check(batch)
            table.add(batch if key is None else [(key(each), value) for each, value in batch])
            yield

    def _check(self, batch: Sequence[Any]) -> None:
        try:
            # In C, as it is done for each pair.
            if len(list(zip(*batch, strict=True))) == 2:
                return
        except (TypeError, ValueError):
            pass
        wrong = next((each for each in batch if not _is_pair(each)), batch[0])
        raise CallError(
            f"{self.__name__} gave {value_text(wrong)}, expected a pair of a key and a value, as "
            f"in: yield word, 1"
        )

    def _write(self, table: Table, writer: BlockWriter) -> None:
        """Move the pairs of a table to the sections of their partitions."""
        what = f"what {self.__name__} gave"
        for number, part in enumerate(divided(table.pairs(), self._steps.partitions)):
            if part:
                writer.add(number, dumps(part, what).data)
        table.clear()


def _is_pair(thing: Any) -> bool:
    return isinstance(thing, tuple | list) and len(thing) == 2
