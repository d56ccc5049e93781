"""Keys as bytes: equal in every process, and in the order of the keys."""

import os
import subprocess
import sys
from collections import Counter
from enum import IntEnum
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distribute_challenge.errors import CallError
from distribute_challenge.mapreduce.keys import (
    can_compare,
    divided,
    in_order,
    kinds_of,
    partition_of,
    stable_bytes,
)

NUMBERS = (
    st.integers() | st.booleans() | st.sampled_from([2**1008, -(2**1008), 2**1016, -(2**1016)])
)
TEXTS = st.text() | st.text(alphabet=["\x00", "\xff", "\ud800", "\ue000", "a"])
BYTES = st.binary() | st.lists(st.sampled_from([0, 1, 255])).map(bytes)


def tuples(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=4).map(tuple)


#: Each gives keys that Python can compare with each other.
KINDS = {
    "numbers": NUMBERS,
    "texts": TEXTS,
    "bytes": BYTES,
    "tuples of numbers": tuples(NUMBERS),
    "tuples of texts": tuples(TEXTS),
    "tuples of tuples": tuples(tuples(BYTES)),
    "pairs": st.tuples(TEXTS, NUMBERS),
    "pairs with tuples": st.tuples(tuples(NUMBERS), BYTES),
}
ANY = st.recursive(NUMBERS | TEXTS | BYTES, tuples, max_leaves=8)


class Colour(IntEnum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_stable_bytes_sort_like_the_keys_of_one_type(kind: str, data: st.DataObject) -> None:
    """Within one type; equal keys have equal bytes."""
    one, other = data.draw(KINDS[kind]), data.draw(KINDS[kind])
    assert (stable_bytes(one) < stable_bytes(other)) == (one < other)
    assert (stable_bytes(one) == stable_bytes(other)) == (one == other)


@settings(deadline=None)
@given(ANY, ANY)
def test_different_keys_have_different_bytes(one: Any, other: Any) -> None:
    """Also keys of different types."""
    assert (stable_bytes(one) == stable_bytes(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (Colour.RED, 1),
        (numpy.int64(-5), -5),
        (numpy.str_("a"), "a"),
        (numpy.bytes_(b"a"), b"a"),
        (Point(1, 2), (1, 2)),
        ((False, numpy.uint8(7)), (0, 7)),
    ],
)
def test_keys_that_are_equal_for_python_have_equal_bytes(one: Any, other: Any) -> None:
    """Those of subclasses, and numbers of NumPy, too."""
    assert one == other
    assert stable_bytes(one) == stable_bytes(other)


@pytest.mark.slow
@settings(deadline=None)
@given(st.one_of(*map(st.lists, KINDS.values()), st.lists(ANY)))
def test_keys_are_put_into_the_order_of_their_bytes(keys: list[Any]) -> None:
    assert in_order(keys) == sorted(keys, key=stable_bytes)
    if can_compare(kinds_of(keys)):
        assert in_order(keys) == sorted(keys)


def test_types_that_python_does_not_compare_quickly_count_together() -> None:
    """So do those that it compares in another order."""
    assert kinds_of([1, "a", b"", True, (), numpy.int64(1)]) == {int, str, bytes, object}
    assert can_compare({str})
    assert not can_compare({object})
    assert not can_compare({str, int})
    assert not can_compare(set())


def test_stable_bytes_order_keys_of_different_types() -> None:
    """Numbers, bytes, texts, tuples."""
    keys: list[Any] = [(), "", b"", -(10**400), 10**400, "z", b"\xff", (0,)]
    assert sorted(keys, key=stable_bytes) == [
        -(10**400), 10**400, b"", b"\xff", "", "z", (), (0,)
    ]  # fmt: skip


@pytest.mark.parametrize("key", [1.0, None, frozenset(), object, ("a", 1.5)])
def test_another_type_is_refused_with_what_to_do(key: Any) -> None:
    """The message names the value, its type, and the option."""
    with pytest.raises(CallError, match=r"got the key .* of type \w+, expected a text.*key=str"):
        stable_bytes(key)


def test_a_key_has_one_partition_whatever_the_hash_seed_is() -> None:
    """Python's own hash of a text differs between processes."""
    program = (
        "from distribute_challenge.mapreduce.keys import partition_of\n"
        "print([partition_of(key, 1000) for key in ('a', b'a', -7, ('a', 1))])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(seen) == 1


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(ANY, max_size=20) | st.lists(TEXTS, min_size=1))
def test_pairs_are_divided_by_the_partitions_of_their_keys(keys: list[Any]) -> None:
    """They stay in their order."""
    pairs = {key: number for number, key in enumerate(keys)}
    for partitions in (1, 3):
        assert [list(zip(*part, strict=True)) for part in divided(pairs, partitions)] == [
            [pair for pair in pairs.items() if partition_of(pair[0], partitions) == number]
            for number in range(partitions)
        ]


def test_keys_of_unsupported_types_are_refused_even_with_one_partition() -> None:
    with pytest.raises(CallError, match=r"got the key 0\.5"):
        divided({"a": 1, 0.5: 1}, 1)  # type: ignore[dict-item] # that is the test


@pytest.mark.parametrize("keys", [range(10_000), [f"word{number}" for number in range(10_000)]])
def test_keys_spread_over_all_partitions(keys: Any) -> None:
    """None gets more than a tenth more or less than its share."""
    counts = Counter(partition_of(key, 8) for key in keys)
    assert set(counts) == set(range(8))
    assert all(abs(count - 1250) < 125 for count in counts.values())
