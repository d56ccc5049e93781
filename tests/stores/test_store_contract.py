"""What every store does, whatever it is made of."""

import os
import threading

import pytest

from distribute_challenge.stores import Store

SIZES = [0, 1, 100_000, 3 * 2**20 + 7]


def content(size: int) -> memoryview:
    return memoryview(os.urandom(size))


@pytest.mark.parametrize("size", SIZES)
def test_a_value_that_a_client_puts_can_be_read_by_a_worker(
    store: Store, seen: Store, size: int
) -> None:
    """An empty value counts, too."""
    data = content(size)
    store.put("a", data)
    for reader in (store, seen):
        found = reader.get("a", size)
        assert found is not None
        assert bytes(found) == bytes(data)
        assert found.format == "B"


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_value_read_from_a_store_is_read_only(store: Store, seen: Store, size: int) -> None:
    """Others read the same memory."""
    store.put("a", content(size))
    found = seen.get("a", size)
    assert found is not None
    assert found.readonly


def test_changing_the_source_buffer_does_not_change_the_stored_value(
    store: Store, seen: Store
) -> None:
    """The caller's array is the caller's."""
    data = bytearray(2_000_000)
    store.put("a", memoryview(data))
    data[:] = b"x" * len(data)
    assert seen.get("a", len(data)) == bytes(len(data))


def test_a_missing_value_is_none(store: Store, seen: Store) -> None:
    """It is no error, as another place may have the value."""
    assert store.get("a", 5) is None
    assert seen.get("a", 5) is None
    assert not store.holds("a", 5)


@pytest.mark.parametrize("size", [5, 2_000_000])
def test_a_value_of_another_size_is_not_returned(store: Store, size: int) -> None:
    """Half of one is none."""
    store.put("a", content(size))
    assert store.get("a", size + 1) is None
    assert store.holds("a", size)


def test_a_value_is_there_until_it_is_deleted(store: Store, seen: Store) -> None:
    """Others stay, and it does not matter if it goes twice."""
    data = content(1000)
    store.put("a", data)
    store.put("b", data)
    store.delete(["a"])
    store.delete(["a"])
    store.delete([])
    assert seen.get("a", 1000) is None
    assert seen.get("b", 1000) == data


def test_a_value_that_is_being_read_stays_readable_after_its_deletion(
    store: Store, seen: Store
) -> None:
    """It stays so when the client deletes it meanwhile."""
    data = content(2_000_000)
    store.put("a", data)
    found = seen.get("a", len(data))
    store.delete(["a"])
    store.close()
    assert found == data


def test_a_value_can_be_put_again(store: Store, seen: Store) -> None:
    """The client may put it after it was deleted, or over itself."""
    for data in (content(1000), content(1000)):
        store.put("a", data)
        assert seen.get("a", 1000) == data
        store.delete(["a"])
        store.put("a", data)
        assert seen.get("a", 1000) == data


def test_nothing_is_left_after_close(store: Store, seen: Store) -> None:
    """A worker that looks finds nothing. A second `close` is fine."""
    for key in "abc":
        store.put(key, content(1000))
    store.renew(["a", "b", "c"])
    store.close()
    store.close()
    assert [key for key in "abc" if seen.get(key, 1000) is not None] == []


def test_closing_the_store_of_a_worker_removes_nothing(store: Store, seen: Store) -> None:
    """Letting go of it is not the client's end."""
    data = content(1000)
    store.put("a", data)
    seen.renew(["a"])
    seen.close()
    assert store.get("a", 1000) == data


def test_threads_do_not_disturb_one_another(store: Store, seen: Store) -> None:
    """Each gets what it put."""
    right = []

    def work(number: int) -> None:
        data = content(1_500_000 + number)
        store.put(str(number), data)
        right.append(seen.get(str(number), len(data)) == data)
        store.delete([str(number)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 8
