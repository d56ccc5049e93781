"""A call of the second wave: merges one partition of all that the first wave has given.

a section of each call ──► a table ──► results
                             │ full
                             └──► sorted runs in a file ──► merged, one key at a time ──► results

So neither all keys nor all values of one key have to fit into memory.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, Final

from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter
from distribute_challenge.mapreduce.keys import Key
from distribute_challenge.mapreduce.spill import Spill
from distribute_challenge.mapreduce.steps import Steps
from distribute_challenge.mapreduce.tables import (
    BLOCK_BYTES,
    BLOCK_ENTRIES,
    Table,
    note_key,
    order,
    reduced,
)
from distribute_challenge.serialisation import dumps
from distribute_challenge.settings import shuffle_memory

__all__ = ["ReducePartition"]

FIRST_ENTRIES = 64  # In the first block of results, whose sizes are not known yet.
GROWTH = 8  # Of the next block, at most.

_KEY: Final = itemgetter(0)
_VALUE: Final = itemgetter(1)


class ReducePartition:
    """The function of the second wave.

    Args:
        steps: The functions of the user.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.__name__ = steps.last_name

    def __call__(self, partition: int, parts: Sequence[Blocks]) -> Blocks:
        """Merge one partition.

        Args:
            partition: Its number.
            parts: What the calls of the first wave have given, in the order of the items.

        Returns:
            The keys with their results, in one section.
        """
        limit = shuffle_memory()
        with Spill() as spill, Spill() as results:
            table, runs = self._table(partition, parts, limit, spill)
            pairs = self._of_runs(runs, table) if runs else self._of_table(table)
            writer = BlockWriter(1, limit, results)
            entries = FIRST_ENTRIES
            while block := dict(islice(pairs, entries)):
                data = dumps(block, f"a result of {self.__name__}").data
                writer.add(0, data)
                fitting = entries * BLOCK_BYTES // len(data)
                entries = max(1, min(fitting, GROWTH * entries, BLOCK_ENTRIES))
            return writer.blocks()

    def _table(
        self, partition: int, parts: Sequence[Blocks], limit: int, spill: Spill
    ) -> tuple[Table, list[Iterator[dict[Key, Any]]]]:
        """Return the pairs of a partition: the last of them as a table, those before as runs."""
        table = self._steps.table(limit)
        runs = []
        for part in parts:
            for block in part.section(partition):
                table.merge(block)
                if table.is_full:
                    runs.append(spill.read(spill.write(_pickled(table))))
                    table.clear()
        return table, runs

    def _of_table(self, table: Table) -> Iterator[tuple[Key, Any]]:
        """Return the results of pairs that fit into memory."""
        items = table.sorted_items() if self._steps.is_sorted else table.pairs().items()
        reducer = self._steps.reducer
        if reducer is None:
            return iter(items)
        return ((key, reduced(reducer, key, iter(values))) for key, values in items)

    def _of_runs(
        self, runs: Iterable[Iterator[dict[Key, Any]]], table: Table
    ) -> Iterator[tuple[Key, Any]]:
        """Yield the results of runs and of a table, all sorted, which are merged."""
        # In the order in which they were written: so the values of a key stay in their order.
        merged = heapq.merge(*map(_items, runs), table.sorted_items(), key=order)
        fold, reducer = self._steps.fold, self._steps.reducer
        for key, entries in groupby(merged, _KEY):
            values = map(_VALUE, entries)
            if reducer is not None:
                yield key, reduced(reducer, key, chain.from_iterable(values))
                continue
            assert fold is not None  # One of both is there.
            try:
                value = reduce(fold, values)
            except BaseException as error:
                note_key(error, fold, key)
                raise
            yield key, value


def _pickled(table: Table) -> Iterator[bytes]:
    for block in table.divided(table.sorted_items()):
        yield dumps(block, "a pair of a mapper").data


def _items(blocks: Iterable[dict[Key, Any]]) -> Iterator[tuple[Key, Any]]:
    for block in blocks:
        yield from block.items()
