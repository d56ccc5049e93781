"""Pairs by key in memory."""

import operator
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distribute_challenge.errors import SerialisationError
from distribute_challenge.mapreduce import tables
from distribute_challenge.mapreduce.tables import FoldTable, GroupTable, Table

PAIRS = st.lists(st.tuples(st.sampled_from("abcde"), st.text(max_size=2)), min_size=1, max_size=30)


def add(table: Table, pairs: list[tuple[str, Any]]) -> None:
    table.add([key for key, _ in pairs], [value for _, value in pairs])


def grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


@settings(deadline=None)
@given(PAIRS)
def test_a_fold_keeps_one_value_of_each_key(pairs: list[tuple[str, str]]) -> None:
    """The values are folded in their order."""
    table = FoldTable(1_000_000, operator.add)
    add(table, pairs)
    assert dict(table.pairs()) == {key: "".join(each) for key, each in grouped(pairs).items()}
    assert table.entries == len(grouped(pairs))


@settings(deadline=None)
@given(PAIRS)
def test_a_group_keeps_all_values_in_their_order(pairs: list[tuple[str, str]]) -> None:
    table = GroupTable(1_000_000)
    add(table, pairs)
    assert dict(table.pairs()) == grouped(pairs)
    assert table.entries == len(pairs)


@pytest.mark.parametrize("make", [lambda: FoldTable(1, operator.add), lambda: GroupTable(1)])
@settings(deadline=None)
@given(first=PAIRS, second=PAIRS, entries=st.integers(1, 5))
def test_blocks_of_one_table_are_merged_into_another(
    make: Any, first: list[tuple[str, str]], second: list[tuple[str, str]], entries: int
) -> None:
    """However small the blocks are, the order of a key's values stays."""
    whole, merged = make(), make()
    for pairs in (first, second):
        add(whole, pairs)
        part: Table = make()
        add(part, pairs)
        with pytest.MonkeyPatch.context() as context:
            context.setattr(tables, "BLOCK_ENTRIES", entries)
            blocks = list(part.blocks(part.sorted_pairs()))
        for keys, values in blocks:
            merged.merge(keys, values)
            assert len(keys) <= entries
            assert isinstance(part, FoldTable) or max(map(len, values)) <= entries
    assert dict(merged.pairs()) == dict(whole.pairs())
    assert merged.entries == whole.entries


@pytest.mark.parametrize("make", [lambda: FoldTable(2000, max), lambda: GroupTable(2000)])
def test_a_table_is_full_when_its_pairs_take_more_than_the_limit(make: Any) -> None:
    """And empty when it was cleared."""
    table: Table = make()
    table.add(["a"], [0])
    assert not table.is_full
    table.add([f"key {number}" for number in range(20)], list(range(20)))
    assert table.is_full
    table.clear()
    assert (table.entries, dict(table.pairs()), table.is_full) == (0, {}, False)


def test_large_values_make_small_blocks() -> None:
    """A block is about as large in memory, whatever its values are."""
    table = GroupTable(1)
    table.add(["a"] * 3, [bytes(tables.BLOCK_BYTES)] * 3)
    assert [keys for keys, _ in table.blocks(table.sorted_pairs())] == [["a"]] * 3


def test_a_combiner_makes_one_value_of_those_in_the_table() -> None:
    def total(key: str, values: Iterator[int]) -> int:
        return sum(values)

    table = GroupTable(1, total)
    table.add(["a", "b", "a"], [1, 5, 2])
    assert dict(table.pairs()) == {"a": [3], "b": [5]}


def test_an_error_names_the_key() -> None:
    """Of a fold and of a combiner."""

    def raises(*_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        FoldTable(1, raises).add(["a", "b", "b"], [1, 1, 2])
    assert caught.value.__notes__ == ["key 'b' of raises"]
    folding = FoldTable(1, raises)
    folding.merge(["a", "b"], [1, 1])
    with pytest.raises(ZeroDivisionError) as caught:
        folding.merge(["b", "c"], [2, 2])
    assert caught.value.__notes__ == ["key 'b' of raises"]
    table = GroupTable(1, raises)
    table.add(["a"], [1])
    with pytest.raises(ZeroDivisionError) as caught:
        dict(table.pairs())
    assert caught.value.__notes__ == ["key 'a' of raises"]


def test_a_value_that_cannot_be_pickled_is_an_error() -> None:
    """It is found early, as the table looks at the size of what it gets."""
    with pytest.raises(SerialisationError, match="a pair of a mapper cannot be pickled"):
        GroupTable(1).add(["a"], [(each for each in range(0))])
