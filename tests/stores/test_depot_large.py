"""Values of which the depot hashes a sample first: they are told apart by all their bytes."""

import threading

import pytest

from distribute_challenge.errors import SystemFailureError
from distribute_challenge.stores import Depot, Reference, depot
from tests.processes import wait_until
from tests.stores.freeing import free_all
from tests.stores.memory import MemoryStore

SIZE = 1_000_000


def large(different_at: int | None = None, value: int = 1) -> bytes:
    """Return a megabyte of zeros with one other byte; its samples are at a few places."""
    data = bytearray(SIZE)
    if different_at is not None:
        data[different_at] = value
    return bytes(data)


class MappedStore(MemoryStore):
    maps = True


@pytest.fixture(params=[MappedStore, MemoryStore], ids=["mapped", "copied"])
def store(request: pytest.FixtureRequest) -> MemoryStore:
    return request.param()


@pytest.mark.parametrize("different_at", [0, 5_000, 500_000, SIZE - 1])
def test_values_that_differ_in_one_byte_are_different(
    store: MemoryStore, different_at: int
) -> None:
    """It does not matter whether the byte is in the sample."""
    kept = Depot([store])
    contents = [large(), large(different_at), large(different_at, 2)]
    references = [kept.deposit(content) for content in contents]
    assert [store.values[reference.key] for reference in references] == contents
    assert [kept.deposit(content) for content in contents] == references
    assert len(store.puts) == 3
    kept.release([references[0].key] * 2)
    free_all(kept)
    assert list(store.values.values()) == contents[1:]
    assert kept.deposit(contents[1]) == references[1]


def test_a_large_value_is_stored_anew_once_it_is_freed(store: MemoryStore) -> None:
    kept = Depot([store])
    for content in (large(), large(5_000)):
        reference = kept.deposit(content)
        assert store.values == {reference.key: content}
        kept.release([reference.key])
        free_all(kept)
        assert store.values == {}
    assert kept._record.alike == {}


def test_a_large_value_that_was_lost_is_stored_anew() -> None:
    """It cannot be compared. The next one is found by its own content."""
    store = MappedStore()
    kept = Depot([store])
    lost = kept.deposit(large())
    store.values.clear()
    again = kept.deposit(large())
    assert again != lost
    assert kept.deposit(large()) == again
    assert store.values == {again.key: large()}


def test_threads_with_the_same_large_content_store_it_once() -> None:
    """It makes no difference which of them puts it into the store."""
    store = MappedStore()
    kept = Depot([store])
    store.putting.shut()
    done: list[Reference] = []
    threads = [
        threading.Thread(target=lambda: done.append(kept.deposit(large()))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    store.putting.wait_until_reached()
    wait_until(
        lambda: sum(value.users for value in kept._record.values.values()) == 5, "five users"
    )
    store.putting.open()
    for thread in threads:
        thread.join()
    assert len(set(done)) == len(store.puts) == 1


def test_a_value_is_compared_with_one_that_is_about_to_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that makes room for it first has recorded it already."""
    store = MappedStore()
    kept = Depot([store])
    monkeypatch.setattr(depot, "KEPT_IDLE_ONCE", 0)
    kept.release([kept.deposit(b"gives way").key])
    store.deleting.shut()
    done: list[Reference] = []
    thread = threading.Thread(target=lambda: done.append(kept.deposit(large())))
    thread.start()
    store.deleting.wait_until_reached()
    done.append(kept.deposit(large()))
    store.deleting.open()
    thread.join()
    assert len(set(done)) == 1
    assert list(store.values.values()) == [large()]


def test_the_depot_is_closed_while_values_are_compared() -> None:
    store = MappedStore()
    kept = Depot([store])
    kept.deposit(large())
    get = store.get

    def close_first(key: str, size: int) -> memoryview | None:
        found = get(key, size)
        kept.close()
        return found

    store.get = close_first  # type: ignore[method-assign]
    with pytest.raises(SystemFailureError, match="closed"):
        kept.deposit(large())
