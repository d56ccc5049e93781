"""What the first calls of a job give, merged by the client as long as it is little.

    values of calls ──► in the order of the items ──► one table ──► all results, or one more part
                                                                     of each partition

To divide pairs by partition, and to pickle them twice more, costs more than to merge them. So if
few keys are left of many items, there is no second wave.
"""

from collections.abc import Iterator
from typing import Any

from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter, encoded
from distribute_challenge.mapreduce.keys import Key, divided
from distribute_challenge.mapreduce.spill import Spill
from distribute_challenge.mapreduce.tables import Fold, FoldTable

__all__ = ["ClientTable"]

# Guesses, both of them:
MOST_BYTES = 100_000_000  # Of all values that the client merges; this takes a few seconds.
MOST_KEYS = 1_500_000  # In its table; with short texts and numbers, these take about 200 MB.


class ClientTable:
    """The pairs of the first calls of a job.

    Args:
        fold: Makes one value of two.
    """

    def __init__(self, fold: Fold) -> None:
        self._table = FoldTable(0, fold)
        self._waiting: dict[int, Blocks] = {}  # By number of the call: those before are not here.
        self._calls = 0
        self._merged_bytes = 0
        self._merged_items = 0
        self._expected_items = 0
        self._takes_more = True

    def expect(self, items: int) -> bool:
        """Return whether what the next call gives may come here, and if so count its items.

        After a call that must not, no other may, so that values are folded in the order of items.
        """
        if self._takes_more:
            # Those that run are expected to bring as much for each item as those that have ended.
            times = (self._expected_items + items) / (self._merged_items or 1)
            most = max(self._merged_bytes / MOST_BYTES, self._table.entries / MOST_KEYS)
            self._takes_more = most * times <= 1
            self._expected_items += items
        return self._takes_more

    def merge(self, number: int, items: int, blocks: Blocks) -> None:
        """Merge what a call has given, when all calls before it have ended.

        Args:
            number: Number of the call.
            items: Number of its items.
            blocks: Its value, with one section.
        """
        self._merged_bytes += blocks.size
        self._merged_items += items
        self._waiting[number] = blocks
        while (next_one := self._waiting.pop(self._calls, None)) is not None:
            self._calls += 1
            for keys, values in next_one.section(0):
                self._table.merge(keys, values)

    def pairs(self, *, is_sorted: bool) -> Iterator[tuple[Key, Any]]:
        """Return all keys with their values, as an iterator.

        Args:
            is_sorted: Whether they come in the order of the keys.
        """
        assert not self._waiting  # All calls whose values come here have ended.
        if is_sorted:
            return zip(*self._table.sorted_pairs(), strict=True)
        return iter(self._table.pairs().items())

    def divided(self, partitions: int, limit: int) -> Blocks:
        """Return all pairs, with a section for each partition.

        Args:
            partitions: Number of partitions.
            limit: Bytes that may be in memory; the rest is in a file.
        """
        assert not self._waiting  # All calls whose values come here have ended.
        with Spill() as spill:
            writer = BlockWriter(partitions, limit, spill)
            for number, pairs in enumerate(divided(self._table.pairs(), partitions)):
                for block in self._table.blocks(pairs):
                    writer.add(number, encoded(block, "what the mapper gave"))
            self._table.clear()
            return writer.blocks()
