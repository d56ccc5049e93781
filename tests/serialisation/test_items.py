"""Items of a queue as bytes."""

import threading
from typing import Any

import pytest

from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import loads, pack_items


def loaded(blocks: list[ItemBlock]) -> list[Any]:
    found = []
    for block in blocks:
        values = [loads(blob) for blob in block.blobs]
        found += values[0] if block.is_joined else values
        assert block.count == (len(values[0]) if block.is_joined else len(values))
    return found


def test_each_item_is_pickled_by_itself() -> None:
    """What two items share is in both, and one that is not plain does not harm the next."""
    shared = ["x"]
    items: list[Any] = [shared, {"a": shared}, len, lambda: 5, (shared, 1)]
    (block,) = blocks = pack_items(items, "an item")
    assert not block.is_plain
    found = loaded(blocks)
    assert found[:3] == items[:3]
    assert found[3]() == 5
    assert found[4] == (["x"], 1)
    assert pack_items([shared], "an item")[0].is_plain


def test_values_that_never_change_share_a_pickle() -> None:
    items = [1, "two", b"three", 4.0, None, True]
    (block,) = blocks = pack_items(items, "an item")
    assert block.is_joined
    assert loaded(blocks) == items
    assert not pack_items([1, []], "an item")[0].is_joined


@pytest.mark.parametrize(
    ("items", "counts"),
    [
        ([], []),
        ([b"x" * 100] * 1500, [1000, 500]),
        ([b"x" * 50_000] * 5, [2, 2, 1]),
        ([[b"x" * 60_000]] * 3, [2, 1]),
        ([1, b"x" * 64_000, 2, 3], [1, 1, 2]),
    ],
)
def test_blocks_have_a_maximum_number_of_items_and_bytes(
    items: list[Any], counts: list[int]
) -> None:
    """A large item is alone."""
    blocks = pack_items(items, "an item")
    assert [block.count for block in blocks] == counts
    assert loaded(blocks) == items


def test_the_number_of_items_per_block_can_be_limited() -> None:
    assert [block.count for block in pack_items(range(5), "an item", 2)] == [2, 2, 1]


def test_an_item_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(SerialisationError, match=r"an item cannot be pickled: an item\[1\]"):
        pack_items([1, [2, threading.Lock()]], "an item")
