"""The places where a depot puts values: its choice, and what it does if one is full or fails."""

import logging

import pytest

from distribute_challenge.errors import StoreFullError, SystemFailureError, ValueLostError
from distribute_challenge.stores import Depot, Reference
from tests.stores.freeing import free_all
from tests.stores.memory import MemoryStore

# --- places


def test_values_are_put_into_the_places_in_use(near: MemoryStore, far: MemoryStore) -> None:
    """They go to the first place, until `use` names others. Workers are told of all."""
    kept = Depot([near, far])
    assert kept.names == ("near", "far")
    kept.deposit(b"1")
    assert (len(near.values), len(far.values)) == (1, 0)
    kept.use([far])
    kept.deposit(b"2")
    assert (len(near.values), len(far.values)) == (1, 1)
    kept.use([])
    kept.deposit(b"2")
    assert (len(near.values), len(far.values)) == (1, 1)
    kept.use([far, near])
    kept.deposit(b"3")
    assert (len(near.values), len(far.values)) == (2, 2)
    kept.deposit(b"1")
    assert (len(near.values), len(far.values)) == (2, 3)
    assert len(near.puts) == 2


def test_a_value_that_does_not_fit_is_put_where_all_workers_can_access_it(
    kept: Depot, near: MemoryStore, far: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The depot warns once, and does not ask the full place each time."""
    near.room = 0
    with caplog.at_level(logging.WARNING, "distribute_challenge"):
        for value in (b"1", b"1", b"2"):
            kept.deposit(value)
    assert len(far.values) == 2
    assert len(near.puts) == 2
    assert caplog.text.count("large values go another way, which takes longer: near is full") == 1


def test_a_value_that_fits_in_no_store_is_an_error_and_is_not_counted(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """The next time it is tried again."""
    near.room = far.room = 0
    with pytest.raises(StoreFullError, match="far is full"):
        kept.deposit(b"content")
    free_all(kept)
    assert kept._record.values == {}
    far.room = 100
    kept.deposit(b"content")
    assert len(far.values) == 1


def test_a_full_place_for_all_workers_is_asked_once(far: MemoryStore) -> None:
    """There is no other."""
    far.room = 0
    with pytest.raises(StoreFullError, match="far is full"):
        Depot([far]).deposit(b"content")
    assert len(far.puts) == 1


def test_a_value_is_deposited_if_one_of_two_places_has_room(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """Every worker finds it in the one that all see."""
    near.room = 0
    kept.use([near, far])
    kept.deposit(b"content")
    assert len(far.values) == 1
    near.room, far.room = 100, 0
    kept.deposit(b"another")
    assert len(near.values) == 1


def test_unused_values_are_freed_to_make_room_for_a_new_value(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """It does so before anything goes another way."""
    near.room = 10
    kept.release([kept.deposit(b"12345678").key])
    reference = kept.deposit(b"abcdefgh")
    assert near.values == {reference.key: b"abcdefgh"}
    assert far.values == {}


def test_an_error_of_a_place_is_raised_and_nothing_is_counted(
    kept: Depot, near: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts nothing."""

    def put(key: str, data: memoryview) -> None:
        raise SystemFailureError("no answer")

    monkeypatch.setattr(near, "put", put)
    with pytest.raises(SystemFailureError, match="no answer"):
        kept.deposit(b"content")
    free_all(kept)
    assert kept._record.values == {}


# --- bringing values to all workers


def test_a_value_that_a_worker_misses_is_copied_to_the_place_for_all_workers(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """The depot brings it once for all workers that ask."""
    keys = [kept.deposit(value).key for value in (b"1", b"2")]
    for _ in range(3):
        kept.provide_everywhere(keys)
    assert far.values == near.values
    assert far.puts == keys
    kept.release(keys)
    free_all(kept)
    assert far.values == near.values == {}


def test_a_value_lost_by_the_place_for_all_workers_is_copied_again(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """Redis was restarted, and does not say so."""
    kept.use([near, far])
    key = kept.deposit(b"content").key
    far.values.clear()
    kept.provide_everywhere([key])
    assert far.values == near.values


def test_a_value_in_no_place_is_lost_until_it_is_deposited_again(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """The others are brought nevertheless."""
    keys = [kept.deposit(value).key for value in (b"1", b"2")]
    del near.values[keys[0]]
    with pytest.raises(ValueLostError, match="2 large value") as caught:
        kept.provide_everywhere([keys[0], "unknown", keys[1]])
    assert caught.value.keys == (keys[0], "unknown")
    assert list(far.values) == [keys[1]]
    with pytest.raises(ValueLostError):
        kept.open(Reference(keys[0], 1))
    assert kept.deposit(b"1").key == keys[0]
    assert keys[0] in near.values


def test_copying_a_value_to_a_full_place_for_all_workers_raises_store_full_error(
    kept: Depot, far: MemoryStore
) -> None:
    """Its calls fail with that."""
    key = kept.deposit(b"content").key
    far.room = 0
    with pytest.raises(StoreFullError, match="far is full"):
        kept.provide_everywhere([key])
    far.room = 100
    kept.provide_everywhere([key])
    assert key in far.values


def test_each_place_hears_which_of_its_values_are_needed(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """Lingering values are among them."""
    keys = sorted(kept.deposit(value).key for value in (b"1", b"2"))
    kept.provide_everywhere(keys[:1])
    kept.release(keys[1:])
    kept.renew()
    assert (near.renewed, far.renewed) == (keys, keys[:1])
