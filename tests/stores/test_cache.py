"""A worker's way to values, and what it keeps."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from distribute_challenge.errors import ValueMissingError
from distribute_challenge.stores import Depot, RedisStore, SharedMemoryStore, ValueCache, cache
from tests.processes import wait_until
from tests.secret import KEYRING


@pytest.fixture
def kept(root: Path, connection: redis.Redis) -> Iterator[Depot]:
    """A client with shared memory and Redis."""
    kept = Depot([SharedMemoryStore(root), RedisStore(connection, "client", KEYRING)])
    yield kept
    kept.close()


@pytest.fixture
def values(connection: redis.Redis) -> Iterator[ValueCache]:
    """A worker that may keep 1000 bytes."""
    values = ValueCache(connection, KEYRING, 1000)
    yield values
    values.close()


def _caches() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread.name == "distribute_challenge value cache"
    ]


@pytest.fixture
def looking() -> Callable[[], list[threading.Thread]]:
    """The threads of this test's caches; those of others that run on are left out."""
    others = _caches()
    return lambda: [thread for thread in _caches() if thread not in others]


def test_a_value_is_found_in_any_of_its_places(kept: Depot, values: ValueCache) -> None:
    """It is in the first place, or in another."""
    near = kept.deposit(b"near")
    kept.use([])
    far = kept.deposit(b"far")
    assert values.open(near, kept.names) == b"near"
    assert values.open(far, kept.names) == b"far"


def test_a_value_that_is_in_no_place_raises_an_error_with_its_key(
    kept: Depot, values: ValueCache
) -> None:
    """The client can then bring it."""
    reference = kept.deposit(b"content")
    with pytest.raises(
        ValueMissingError, match=f"large values not found here: {reference.key}"
    ) as caught:
        values.open(reference, kept.names[1:])
    assert caught.value.keys == (reference.key,)
    kept.provide_everywhere(caught.value.keys)
    assert values.open(reference, kept.names[1:]) == b"content"


def test_a_worker_that_can_access_no_place_raises_value_missing_error(
    kept: Depot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It sees neither shared memory nor Redis."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    with pytest.raises(ValueMissingError):
        ValueCache(None, KEYRING, 1000).open(kept.deposit(b"content"), kept.names)


@pytest.mark.parametrize("place", ["folder", "redis"])
def test_a_value_is_fetched_once(kept: Depot, values: ValueCache, place: str) -> None:
    """The same memory serves all calls."""
    if place == "redis":
        kept.use([])
    reference = kept.deposit(b"content")
    first = values.open(reference, kept.names)
    assert first.readonly
    assert values.open(reference, kept.names) is first
    assert values.open(reference, []) is first, "it is known by its key"


def test_only_so_many_bytes_are_kept(kept: Depot, values: ValueCache) -> None:
    """The one not used for longest goes first; what is too large for all is not kept at all."""
    references = [kept.deposit(bytes([number]) * 400) for number in range(3)]
    first, second = (values.open(reference, kept.names) for reference in references[:2])
    assert values.open(references[0], []) is first
    values.open(references[2], kept.names)
    assert values.open(references[0], []) is first
    with pytest.raises(ValueMissingError):
        values.open(references[1], [])
    assert bytes(second) == bytes([1]) * 400, "a reader keeps its value"
    large = kept.deposit(bytes(1001))
    values.open(large, kept.names)
    with pytest.raises(ValueMissingError):
        values.open(large, [])
    assert values.open(references[0], []) is first


def test_two_threads_may_fetch_the_same_value_at_once(kept: Depot, values: ValueCache) -> None:
    """It counts once."""
    reference = kept.deposit(bytes(600))
    found = values.open(reference, kept.names)
    values._keep(reference, found, kept._places.used[0])
    assert values._bytes == 600


def test_a_value_that_the_client_has_freed_makes_room_for_the_next_one(
    kept: Depot, values: ValueCache
) -> None:
    """Its memory is in use as long as it is mapped."""
    first = kept.deposit(b"first")
    values.open(first, kept.names)
    kept.release([first.key])
    kept.sweep(1e12)
    values.open(kept.deposit(b"second"), kept.names)
    assert first not in values._kept


def test_a_small_value_costs_few_looks_at_others_and_each_has_its_turn(
    kept: Depot, values: ValueCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand values of 100 kB take longer to look after than to read."""
    looked_at: list[str] = []
    holds = SharedMemoryStore.holds

    def noted(store: SharedMemoryStore, key: str, size: int) -> bool:
        looked_at.append(key)
        return holds(store, key, size)

    monkeypatch.setattr(SharedMemoryStore, "holds", noted)
    references = [kept.deposit(bytes([number])) for number in range(100)]
    for reference in references[:50]:
        values.open(reference, kept.names)
    looked_at.clear()
    kept.release([reference.key for reference in references[:50]])
    kept.sweep(1e12)
    for reference in references[50:]:
        values.open(reference, kept.names)
    assert len(looked_at) <= 50 * cache.FEWEST_LOOKS
    assert {reference.key for reference in references[:50]} <= {*looked_at}
    assert list(values._kept) == references[50:]


def test_a_value_that_the_client_has_freed_is_dropped_from_the_cache(
    kept: Depot, values: ValueCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker would keep a dead client's memory. Values of other places are its own."""
    monkeypatch.setattr(cache, "LOOK_EVERY", 0.01)
    near = kept.deposit(b"near")
    kept.use([])
    far = kept.deposit(b"far")
    for reference in (near, far):
        values.open(reference, kept.names)
    kept.close()
    wait_until(lambda: near not in values._kept, "the end of what is gone")
    assert far in values._kept


def test_unused_values_are_dropped_and_the_thread_ends(
    kept: Depot,
    values: ValueCache,
    looking: Callable[[], list[threading.Thread]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next value starts the thread again."""
    monkeypatch.setattr(cache, "LOOK_EVERY", 0.01)
    reference = kept.deposit(b"content")
    values.open(reference, kept.names)
    assert len(looking()) == 1
    monkeypatch.setattr(cache, "UNUSED_FOR", 0)
    wait_until(lambda: not looking(), "the end of the thread")
    assert not values._kept
    assert not values._stores
    monkeypatch.setattr(cache, "UNUSED_FOR", 60)
    values.open(reference, kept.names)
    values.open(kept.deposit(b"another"), kept.names)
    assert len(looking()) == 1


def test_close_drops_all_values_and_ends_the_thread(
    kept: Depot, values: ValueCache, looking: Callable[[], list[threading.Thread]]
) -> None:
    """No thread runs on."""
    values.open(kept.deposit(b"content"), kept.names)
    values.close()
    values.close()
    wait_until(lambda: not looking(), "the end of the thread")
    assert not values._kept
