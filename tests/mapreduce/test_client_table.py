"""What the first calls give, merged by the client."""

import operator
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distribute_challenge import map_reduce
from distribute_challenge.execution_backends.pools.threads import ThreadsExecutionBackend
from distribute_challenge.mapreduce import client_table
from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter, encoded
from distribute_challenge.mapreduce.client_table import ClientTable
from distribute_challenge.mapreduce.spill import Spill


def blocks(**pairs: str) -> Blocks:
    writer = BlockWriter(1, 1_000_000, Spill())
    writer.add(0, encoded((list(pairs), list(pairs.values())), "pairs"))
    return writer.blocks()


def letters(item: int) -> Iterator[tuple[str, str]]:
    """Give a letter for the item to each of ten keys."""
    for number in range(10):
        yield f"key {number}", chr(ord("a") + item)


def test_values_are_folded_in_the_order_of_the_items() -> None:
    """Whichever call ends first."""
    table = ClientTable(operator.add)
    table.merge(2, 1, blocks(x="c", y="c"))
    table.merge(0, 1, blocks(y="a"))
    table.merge(1, 1, blocks(x="b"))
    assert list(table.pairs(is_sorted=True)) == [("x", "bc"), ("y", "ac")]


def test_the_client_table_expects_no_more_calls_when_it_has_many_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of calls that run, it expects as many as of those that have ended; and it stays with a no."""
    monkeypatch.setattr(client_table, "MOST_KEYS", 3)
    table = ClientTable(operator.add)
    assert table.expect(1)
    table.merge(0, 1, blocks(x="a"))
    assert table.expect(1)
    assert table.expect(1)
    assert not table.expect(1)
    table.merge(1, 1, blocks(x="a"))
    table.merge(2, 1, blocks(x="a"))
    assert not table.expect(1)


def test_the_client_table_expects_no_more_bytes_than_it_can_merge_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = blocks(x="a" * 1000)
    monkeypatch.setattr(client_table, "MOST_BYTES", 5 * value.size)
    table = ClientTable(max)
    assert table.expect(1)
    table.merge(0, 1, value)
    assert table.expect(4)
    assert not table.expect(1)


def test_pairs_beyond_the_limit_of_the_client_table_are_partitioned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then its own pairs are the first in each partition."""
    monkeypatch.setattr(client_table, "MOST_KEYS", 5)
    with ThreadsExecutionBackend(1) as backend:
        found = dict(map_reduce(letters, range(26), fold=operator.add, backend=backend))
    assert found == {f"key {number}": "abcdefghijklmnopqrstuvwxyz" for number in range(10)}


@pytest.mark.parametrize("most", [1, 20, 300])
@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.integers(0, 50)), max_size=40))
def test_every_pair_is_counted_exactly_once(most: int, items: list[list[int]]) -> None:
    """However many keys each item has, and whenever the client takes no more."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(client_table, "MOST_KEYS", most)
        found = list(map_reduce(Counter, items, fold=operator.add, backend="threads"))
    right = Counter(number for item in items for number in item)
    assert sorted(found) == sorted(right.items())


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_the_client_table_divides_its_pairs_in_memory_or_into_a_file(limit: int) -> None:
    table = ClientTable(max)
    table.merge(0, 1, blocks(a="1", b="2", c="3"))
    divided = table.divided(2, limit)
    sections = [dict(zip(*block, strict=True)) for n in (0, 1) for block in divided.section(n)]
    assert {key: each[key] for each in sections for key in each} == {"a": "1", "b": "2", "c": "3"}
    assert dict(table.pairs(is_sorted=False)) == {}


@pytest.mark.slow
def test_functions_of_the_user_do_not_run_in_the_client() -> None:
    """They may need what only workers have."""

    def fold(one: set[int], other: set[int]) -> set[int]:
        return one | other | {os.getpid()}

    found = dict(
        map_reduce(lambda item: [("all", set())], range(8), fold=fold, backend="processes")
    )
    assert found["all"]
    assert os.getpid() not in found["all"]


def test_an_explicit_number_of_partitions_is_used() -> None:
    """By a second wave, however few keys there are."""
    with ThreadsExecutionBackend(1) as backend:
        submitted: list[str] = []
        submit = backend.submit

        def note(task: object) -> object:
            submitted.append(task.function.name)  # type: ignore[attr-defined] # a task
            return submit(task)  # type: ignore[arg-type] # it is one

        backend.submit = note  # type: ignore[method-assign, assignment] # it counts
        assert len(dict(map_reduce(letters, [1], fold=max, backend=backend))) == 10
        assert submitted == ["letters"]
        found = map_reduce(letters, [1], fold=max, partitions=3, backend=backend)
        assert len(dict(found)) == 10
        assert submitted == ["letters"] * 2 + ["max"] * 3
