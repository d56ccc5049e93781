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

from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter, decoded, encoded
from distribute_challenge.mapreduce.keys import Key, kinds_of, stable_bytes
from distribute_challenge.mapreduce.spill import Spill
from distribute_challenge.mapreduce.steps import Steps
from distribute_challenge.mapreduce.tables import (
    BLOCK_BYTES,
    BLOCK_ENTRIES,
    Table,
    note_key,
    reduced,
)
from distribute_challenge.settings import shuffle_memory

__all__ = ["ReducePartition", "order"]

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
            entries, kinds = FIRST_ENTRIES, set[type]()
            while block := list(islice(pairs, entries)):
                columns = [key for key, _ in block], [value for _, value in block]
                data = encoded(columns, f"a result of {self.__name__}")
                kinds |= kinds_of(columns[0])
                writer.add(0, data)
                fitting = entries * BLOCK_BYTES // len(data)
                entries = max(1, min(fitting, GROWTH * entries, BLOCK_ENTRIES))
            return writer.blocks(kinds)

    def _table(
        self, partition: int, parts: Sequence[Blocks], limit: int, spill: Spill
    ) -> tuple[Table, list[Iterator[bytes]]]:
        """Return the pairs of a partition: the last of them as a table, those before as runs."""
        table = self._steps.table(limit)
        runs = []
        for part in parts:
            for keys, values in part.section(partition):
                table.merge(keys, values)
                if table.is_full:
                    runs.append(spill.read(spill.write(_sorted_blocks(table))))
                    table.clear()
        return table, runs

    def _of_table(self, table: Table) -> Iterator[tuple[Key, Any]]:
        """Return the results of pairs that fit into memory."""
        items: Iterable[tuple[Key, Any]] = table.pairs().items()
        if self._steps.is_sorted:
            items = zip(*table.sorted_pairs(), strict=True)
        reducer = self._steps.reducer
        if reducer is None:
            return iter(items)
        return ((key, reduced(reducer, key, iter(values))) for key, values in items)

    def _of_runs(self, runs: Iterable[Iterator[bytes]], table: Table) -> Iterator[tuple[Key, Any]]:
        """Yield the results of runs and of a table, all sorted, which are merged."""
        # In the order in which they were written: so the values of a key stay in their order.
        last = zip(*table.sorted_pairs(), strict=True)
        merged = heapq.merge(*map(_items, runs), last, key=order)
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


def order(item: tuple[Key, Any]) -> bytes:
    """Return what pairs are sorted by."""
    return stable_bytes(item[0])


def _sorted_blocks(table: Table) -> Iterator[bytes]:
    for block in table.blocks(table.sorted_pairs()):
        yield encoded(block, "a pair of a mapper")


def _items(run: Iterable[bytes]) -> Iterator[tuple[Key, Any]]:
    for block in run:
        yield from zip(*decoded(block), strict=True)
