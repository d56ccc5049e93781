"""Pairs by key in memory: one value for each key, or all values.

    pairs of a mapper, blocks of other calls ──► a table ──► blocks of a bounded size

A table knows about how much memory it takes, and does not limit it: the code that fills it empties
it when it `is_full`.

Guarantees: the values of one key are folded, or come, in the order in which they were added.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from distribute_challenge.core.outcome import add_note
from distribute_challenge.core.signature import function_name, value_text
from distribute_challenge.mapreduce.keys import Key, Pairs, in_order
from distribute_challenge.serialisation import dumps

__all__ = ["Fold", "FoldTable", "GroupTable", "Reducer", "Table", "note_key", "reduced"]

#: Makes one value of two.
Fold: TypeAlias = Callable[[Any, Any], Any]

#: Makes one value of a key and an iterator of its values.
Reducer: TypeAlias = Callable[[Any, Iterator[Any]], Any]

# The memory of an entry is about this many times its pickle, and this many bytes more.
TIMES = 3
OVERHEAD = 120

BLOCK_BYTES = (
    1_000_000  # Of one block: this much of each sorted run is in memory when they are merged.
)
BLOCK_ENTRIES = 4096  # At most, in one block.

_MISSING: Final = object()


class Table(ABC):
    """Pairs by key.

    Args:
        limit: Bytes of memory that it may take, about.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sampled_bytes = 0
        self._samples = 0

    @abstractmethod
    def add(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Add pairs of a mapper, at least one."""

    @abstractmethod
    def merge(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        """Add a block that a table has given."""

    @abstractmethod
    def pairs(self) -> Mapping[Key, Any]:
        """Return the keys, with what blocks have for each."""

    @abstractmethod
    def blocks(self, pairs: Pairs) -> Iterator[Pairs]:
        """Yield pairs of this table as blocks."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all pairs."""

    @property
    @abstractmethod
    def entries(self) -> int:
        """Number of values."""

    @property
    def is_full(self) -> bool:
        """Whether it takes more memory than allowed."""
        return self.entries * (TIMES * self._entry_bytes() + OVERHEAD) > self._limit

    def sorted_pairs(self) -> Pairs:
        """Return the pairs in the order of `stable_bytes`."""
        pairs = self.pairs()
        keys = in_order(pairs)
        return keys, [pairs[key] for key in keys]

    def _sample(self, key: Any, value: Any) -> None:
        """Note the size of an entry; one in a batch is enough."""
        self._sampled_bytes += len(dumps((key, value), "a pair of a mapper").data)
        self._samples += 1

    def _entry_bytes(self) -> int:
        return self._sampled_bytes // (self._samples or 1)

    def _block_entries(self) -> int:
        return max(1, min(BLOCK_ENTRIES, BLOCK_BYTES // (self._entry_bytes() or 1)))


class FoldTable(Table):
    """One value for each key.

    Args:
        limit: As for `Table`.
        fold: Makes one value of two; it is associative.
    """

    def __init__(self, limit: int, fold: Fold) -> None:
        super().__init__(limit)
        self._fold = fold
        self._values: dict[Any, Any] = {}

    def add(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        table, fold = self._values, self._fold
        get = table.get
        try:
            for key, value in zip(keys, values, strict=True):
                # `get` is one look-up for a key that is there, as most are.
                before = get(key, _MISSING)
                table[key] = value if before is _MISSING else fold(before, value)
        except BaseException as error:
            note_key(error, fold, key)
            raise
        self._sample(key, table[key])

    def merge(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        self.add(keys, values)

    def pairs(self) -> Mapping[Key, Any]:
        return self._values

    def blocks(self, pairs: Pairs) -> Iterator[Pairs]:
        (keys, values), most = pairs, self._block_entries()
        for start in range(0, len(keys), most):
            yield keys[start : start + most], values[start : start + most]

    def clear(self) -> None:
        self._values.clear()

    @property
    def entries(self) -> int:
        return len(self._values)


class GroupTable(Table):
    """All values of each key, as lists.

    Args:
        limit: As for `Table`.
        combiner: Makes one value of those of a key in this table; None: blocks have all of them.
    """

    def __init__(self, limit: int, combiner: Reducer | None = None) -> None:
        super().__init__(limit)
        self._combiner = combiner
        self._lists: dict[Any, list[Any]] = {}
        self._entries = 0

    def add(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        lists = self._lists
        for key, value in zip(keys, values, strict=True):
            # No `setdefault`, which would make a list for each pair.
            known = lists.get(key)
            if known is None:
                lists[key] = [value]
            else:
                known.append(value)
        self._sample(key, value)
        self._entries += len(keys)

    def merge(self, keys: Sequence[Any], values: Sequence[Any]) -> None:
        lists = self._lists
        for key, some in zip(keys, values, strict=True):
            lists.setdefault(key, []).extend(some)
            self._entries += len(some)
        self._sample(key, some[-1])

    def pairs(self) -> Mapping[Key, Any]:
        combiner = self._combiner
        if combiner is None:
            return self._lists
        return {key: [reduced(combiner, key, iter(values))] for key, values in self._lists.items()}

    def blocks(self, pairs: Pairs) -> Iterator[Pairs]:
        most = self._block_entries()
        block: Pairs = [], []
        count = 0
        for key, values in zip(*pairs, strict=True):
            # The values of one key may be too many for one block.
            for start in range(0, len(values), most):
                piece = values[start : start + most]
                block[0].append(key)
                block[1].append(piece)
                count += len(piece)
                if count >= most:
                    yield block
                    block, count = ([], []), 0
        if count:
            yield block

    def clear(self) -> None:
        self._lists.clear()
        self._entries = 0

    @property
    def entries(self) -> int:
        return self._entries


def reduced(reducer: Reducer, key: Key, values: Iterator[Any]) -> Any:
    """Call a reducer; a note of its exception names the key."""
    try:
        return reducer(key, values)
    except BaseException as error:
        note_key(error, reducer, key)
        raise


def note_key(error: BaseException, function: Callable[..., Any], key: Key) -> None:
    """Add to an exception which key a function was called for."""
    add_note(error, f"key {value_text(key)} of {function_name(function)}")
