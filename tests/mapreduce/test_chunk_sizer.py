"""How many items a call of the first wave gets."""

from math import inf

import pytest

from distribute_challenge.mapreduce.chunk_sizer import LARGEST_BYTES, ChunkSizer


def test_calls_have_one_item_until_one_has_ended() -> None:
    sizer = ChunkSizer()
    assert [sizer.size(1000, 2, 0.0) for _ in range(3)] == [1, 1, 1]


def test_chunks_grow_with_the_elapsed_time_up_to_a_limit() -> None:
    """But no faster than eightfold, and not beyond some seconds."""
    sizer = ChunkSizer()
    sizer.record(1, seconds=0.001, size=1)
    assert [sizer.size(inf, 2, 0.0) for _ in range(4)] == [8, 64, 250, 250]
    assert sizer.size(inf, 2, 4.0) == 1000
    assert sizer.size(inf, 2, 40.0) == 8000
    assert sizer.size(inf, 2, 4000.0) == 10_000


def test_the_last_items_are_divided_among_all_processes() -> None:
    """Each worker process gets two more calls, which are not too short for all that."""
    sizer = ChunkSizer()
    sizer.record(100, seconds=0.1, size=1)
    sizer._last = 1000
    assert [sizer.size(left, 4, 0.1) for left in (100_000, 4000, 400)] == [8000, 500, 250]
    assert sizer.size(4000, 4, 16.0) == 1000


def test_two_calls_per_process_are_sent_once_their_duration_is_known() -> None:
    sizer = ChunkSizer()
    assert [sizer.most_at_once(slots) for slots in (0, 1, 4)] == [1, 1, 4]
    sizer.record(1, seconds=1.0, size=1)
    assert [sizer.most_at_once(slots) for slots in (0, 1, 4)] == [2, 2, 8]


def test_large_items_make_small_calls() -> None:
    sizer = ChunkSizer()
    sizer.record(10, seconds=0.0, size=LARGEST_BYTES)  # A clock may stand still.
    assert sizer.size(inf, 2, 10.0) == 8
    assert sizer.size(inf, 2, 10.0) == 10


@pytest.mark.parametrize("slots", [0, 1])
def test_an_engine_without_workers_counts_as_one(slots: int) -> None:
    sizer = ChunkSizer()
    sizer.record(1, seconds=1.0, size=1)
    assert sizer.size(10, slots, 1.0) == 5
