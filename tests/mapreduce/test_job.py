"""The two waves of calls, with pairs that do not fit into memory."""

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import map_reduce
from distribute_challenge.mapreduce import spill, tables
from distribute_challenge.mapreduce.keys import stable_bytes


def numbers(item: int) -> Iterator[tuple[str, int]]:
    """Give 3,000 pairs of 1,500 keys; all items give the same keys."""
    for number in range(3000):
        yield f"key {number % 1500}", item


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Little memory for pairs; the sizes of files that are closed."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHUFFLE_MEMORY", "20000")
    closed: list[int] = []
    leave = spill.Spill.__exit__

    def note(file: Any, *error: Any) -> None:
        closed.append(file.size)
        leave(file, *error)

    monkeypatch.setattr(spill.Spill, "__exit__", note)
    return closed


@pytest.mark.parametrize("sort", [False, True])
def test_more_keys_than_fit_into_memory_are_folded(sizes: list[int], sort: bool) -> None:
    """Of sorted runs in a file."""
    pairs = map_reduce(
        numbers, range(8), fold=operator.add, sort=sort, partitions=2, backend="threads"
    )
    found = list(pairs)
    assert len(found) == 1500
    assert dict(found) == {f"key {number}": 2 * sum(range(8)) for number in range(1500)}
    assert not sort or found == sorted(found)
    assert sum(size > 0 for size in sizes) >= 4  # Some of each wave.


@pytest.mark.parametrize(
    "keys",
    [
        range(-500, 500),
        [format(number, "x") for number in range(1000)],
        [*range(500), True, False, -(2**70), *map(str, range(500)), b"b", ("a", 1), (1, "a")],
        ["one"],
        [],
    ],
)
def test_partitions_are_merged_in_the_order_of_the_keys(keys: Any) -> None:
    """Of one type or of several; values that cannot be compared, and an empty partition."""

    def pair(key: Any) -> Iterator[tuple[Any, Any]]:
        yield key, object
        yield key, {}

    pairs = map_reduce(
        pair, keys, reducer=lambda key, values: dict, sort=True, partitions=3, backend="threads"
    )
    assert list(pairs) == [(key, dict) for key in sorted(set(keys), key=stable_bytes)]


@pytest.mark.parametrize("entries", [7, 4096])
def test_one_key_with_more_values_than_fit_into_memory_is_reduced(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    """Its values come one by one, in the order of the items; a reducer may leave some."""
    monkeypatch.setattr(tables, "BLOCK_ENTRIES", entries)

    def mapper(item: int) -> Iterator[tuple[str, int]]:
        for number in range(500):
            yield "many", 500 * item + number
            yield f"few {item}", number

    def reducer(key: str, values: Iterator[int]) -> int:
        if key != "many":
            return next(values)
        total = 0
        for number, value in enumerate(values):
            assert number == value
            total += 1
        return total

    found = dict(map_reduce(mapper, range(6), reducer=reducer, partitions=1, backend="threads"))
    assert found == {"many": 3000, **{f"few {item}": 0 for item in range(6)}}
    assert any(sizes)


class Counted:
    """A value that counts how many of its kind are in memory."""

    alive = 0

    def __init__(self, data: bytes) -> None:
        self.data = data
        Counted.alive += 1

    def __del__(self) -> None:
        Counted.alive -= 1

    def __reduce__(self) -> tuple[Any, ...]:
        return Counted, (self.data,)


def test_values_of_one_key_are_read_as_the_reducer_asks_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a key may have more of them than fit into memory."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHUFFLE_MEMORY", "1000000")
    monkeypatch.setattr(tables, "BLOCK_BYTES", 50_000)
    most = 0

    def reducer(key: str, values: Iterator[Counted]) -> int:
        nonlocal most
        size = 0
        for value in values:
            most = max(most, Counted.alive)
            size += len(value.data)
        return size

    found = map_reduce(
        lambda item: (("hot", Counted(bytes(5_000))) for _ in range(500)),
        range(8),
        reducer=reducer,
        partitions=1,
        backend="threads",
    )
    assert dict(found) == {"hot": 8 * 500 * 5_000}
    assert most < 1000  # Of 4,000: those of a block of each run.


def test_an_error_while_runs_are_merged_names_the_key(sizes: list[int]) -> None:
    """It is the fold's, of a key that did not fit into memory at once."""

    def fold(one: int, other: int) -> int:
        if one == 5 * 2 and other == 5 * 2:
            raise ZeroDivisionError
        return one + other

    pairs = map_reduce(
        lambda item: [(f"key {number}", 10) for number in range(1500)],
        [0, 1],
        fold=fold,
        partitions=1,
        backend="threads",
    )
    with pytest.raises(ZeroDivisionError) as caught:
        list(pairs)
    assert caught.value.__notes__[0].startswith("key 'key ")
    assert any(sizes)


def test_more_items_than_were_hinted_are_read() -> None:
    """A `length_hint` is a hint."""

    class Hinted:
        def __init__(self) -> None:
            self._items = iter(range(50))

        def __length_hint__(self) -> int:
            return 1

        def __iter__(self) -> Iterator[int]:
            return self._items

    found = map_reduce(lambda item: [("all", 1)], Hinted(), fold=operator.add, backend="threads")
    assert dict(found) == {"all": 50}


def test_large_results_come_in_several_blocks(tmp_path: Path) -> None:
    """So the client needs no more memory than one of them takes."""
    pairs = map_reduce(
        lambda item: [(number, bytes(100_000)) for number in range(item, item + 40)],
        range(0, 400, 40),
        reducer=lambda key, values: next(values),
        partitions=1,
        backend="threads",
    )
    assert sorted(key for key, value in pairs if len(value) == 100_000) == list(range(400))
