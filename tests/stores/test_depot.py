"""Who keeps which value, and for how long."""

import gc
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distribute_challenge.errors import SystemFailureError, ValueLostError
from distribute_challenge.stores import Depot, Reference, depot, record
from tests.forks import ended, fork
from tests.processes import wait_until
from tests.stores.freeing import FOREVER, free_all
from tests.stores.memory import MemoryStore


def in_threads(*works: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    return threads


# --- depositing


@pytest.mark.parametrize(
    "value",
    [
        b"some bytes",
        bytearray(b"some bytes"),
        memoryview(np.arange(6.0)),
        memoryview(np.arange(6.0).reshape(2, 3)),
        memoryview(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        pickle.PickleBuffer(np.arange(6)).raw(),
        memoryview(np.zeros((0, 4))),
        b"",
    ],
    ids=lambda value: f"{type(value).__name__} {len(bytes(value))}",
)
def test_any_buffer_in_one_piece_can_be_kept(kept: Depot, near: MemoryStore, value: Any) -> None:
    """The depot keeps the bytes that lie in memory."""
    reference = kept.deposit(value)
    assert near.values == {reference.key: bytes(pickle.PickleBuffer(value).raw())}
    assert reference.size == len(bytes(value))
    assert kept.open(reference) == near.values[reference.key]


def test_equal_content_is_stored_once(kept: Depot, near: MemoryStore) -> None:
    """Its type does not matter."""
    first = kept.deposit(b"content")
    assert kept.deposit(bytearray(b"content")) == first
    assert kept.deposit(b"other") != first
    assert len(near.puts) == 2


def test_the_same_content_has_different_keys_in_different_clients(near: MemoryStore) -> None:
    """Another program cannot make other content for a key that it knows."""
    assert Depot([near]).deposit(b"content").key != Depot([near]).deposit(b"content").key


def test_threads_with_the_same_content_store_it_once(kept: Depot, near: MemoryStore) -> None:
    """The others wait until it is there."""
    near.putting.shut()
    done: list[Reference] = []
    threads = in_threads(*[lambda: done.append(kept.deposit(b"content"))] * 5)
    near.putting.wait_until_reached()
    wait_until(lambda: kept._record.values[near.puts[0]].users == 5, "five users")
    assert done == []
    near.putting.open()
    for thread in threads:
        thread.join()
    assert len(set(done)) == 1
    assert len(near.puts) == 1
    for _ in range(5):
        assert near.values
        kept.release([done[0].key])
        free_all(kept)
    assert near.values == {}


def test_a_slow_place_does_not_block_other_operations(kept: Depot, near: MemoryStore) -> None:
    """Calls end and other values are stored meanwhile."""
    small = kept.deposit(b"small")
    near.putting.shut()
    (thread,) = in_threads(lambda: kept.deposit(b"slow"))
    near.putting.wait_until_reached()
    assert kept.deposit(b"small") == small
    kept.retain([small.key])
    for _ in range(3):
        kept.release([small.key])
    kept.renew()
    free_all(kept)
    assert near.values == {}
    near.putting.open()
    thread.join()
    assert list(near.values.values()) == [b"slow"]


# --- freeing


def test_a_value_is_kept_while_it_is_used(kept: Depot, near: MemoryStore) -> None:
    """A deposit counts one, and so does each `retain`."""
    key = kept.deposit(b"content").key
    kept.retain([key])
    for _ in range(2):
        free_all(kept)
        assert key in near.values
        kept.release([key])
    free_all(kept)
    assert near.values == {}
    with pytest.raises(ValueLostError) as caught:
        kept.retain([key])
    assert caught.value.keys == (key,)


def test_a_value_lingers_for_the_next_call(kept: Depot, near: MemoryStore) -> None:
    """Two hundred calls, one after the other, send it once."""
    key = kept.deposit(b"content").key
    kept.release([key])
    now = time.monotonic()
    kept.sweep(now)
    kept.sweep(now + record.LINGER_FIRST / 2)
    assert key in near.values
    kept.deposit(b"content")
    assert len(near.puts) == 1
    kept.release([key])
    kept.sweep(time.monotonic() + record.LINGER - 1)
    assert key in near.values
    kept.sweep(time.monotonic() + record.LINGER + 1)
    assert key not in near.values


def test_a_value_used_by_one_call_is_kept_for_a_shorter_time(
    kept: Depot, near: MemoryStore
) -> None:
    """A map over arrays would fill the memory with them. Others that came before it stay."""
    twice = kept.deposit(b"twice").key
    kept.retain([twice])
    once = kept.deposit(b"once").key
    kept.release([twice, twice, once])
    kept.sweep(time.monotonic() + record.LINGER_FIRST + 1)
    assert list(near.values) == [twice]


def test_the_oldest_unused_values_are_freed_above_the_limit(
    kept: Depot, near: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest goes first."""
    monkeypatch.setattr(depot, "KEPT_IDLE", 250)
    keys = []
    for number in range(4):
        keys.append(kept.deposit(bytes([number]) * 100).key)
        kept.release(keys[-1:])
        kept._record.settle()
    kept.sweep(time.monotonic())
    assert list(near.values) == keys[2:]


def test_unused_values_of_single_calls_have_a_lower_limit(
    kept: Depot, near: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New values get their memory. Those that several calls have needed stay, though older."""
    monkeypatch.setattr(depot, "KEPT_IDLE_ONCE", 250)
    often = kept.deposit(b"often" * 100).key
    kept.retain([often])
    kept.release([often, often])
    keys = []
    for number in range(5):
        keys.append(kept.deposit(bytes([number]) * 100).key)
        kept.release(keys[-1:])
    assert list(near.values) == [often, *keys[-3:]]
    kept.deposit(bytes([4]) * 100)  # It has several users now.
    kept.release(keys[-1:])
    kept.sweep(time.monotonic())
    assert list(near.values) == [often, *keys[-3:]]


def test_a_deposit_makes_room_itself_when_too_much_lingers(
    kept: Depot, near: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of large values does not wait for the next sweep."""
    monkeypatch.setattr(depot, "KEPT_IDLE", 250)
    for number in range(20):
        kept.release([kept.deposit(bytes([number]) * 100).key])
        assert len(near.values) <= 4


def test_releasing_never_fails(kept: Depot) -> None:
    """Unknown keys do not matter, and neither does a closed depot."""
    kept.release(["unknown"])
    free_all(kept)
    key = kept.deposit(b"content").key
    kept.close()
    kept.release([key])
    kept.retain([key])
    kept.sweep(FOREVER)
    kept.renew()
    kept.close()


def test_a_value_deposited_while_it_is_being_freed_is_stored_again(
    kept: Depot, near: MemoryStore
) -> None:
    """It is not taken for stored."""
    reference = kept.deposit(b"content")
    kept.release([reference.key])
    near.deleting.shut()
    threads = in_threads(lambda: free_all(kept))
    near.deleting.wait_until_reached()
    threads += in_threads(lambda: kept.deposit(b"content"))
    wait_until(lambda: kept._record.values[reference.key].users == 1, "a new user")
    free_all(kept)  # Another sweep meanwhile has nothing to do.
    near.deleting.open()
    for thread in threads:
        thread.join()
    assert near.values == {reference.key: b"content"}
    free_all(kept)
    assert near.values == {reference.key: b"content"}


def test_a_value_that_is_being_copied_to_another_place_is_not_freed(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """Its turn comes when it is there."""
    reference = kept.deposit(b"content")
    with kept._record.values[reference.key].moving:
        kept.release([reference.key])
        free_all(kept)
        assert near.values
    free_all(kept)
    assert not near.values


# --- holds


def test_a_hold_keeps_a_value_as_long_as_it_lives(kept: Depot, near: MemoryStore) -> None:
    """Closing it ends it earlier."""
    key = kept.deposit(b"content").key
    first, second = kept.hold([key]), kept.hold([key])
    kept.release([key])
    first.close()
    first.close()
    free_all(kept)
    assert second.keys == (key,)
    assert near.values
    del second
    gc.collect()
    free_all(kept)
    assert not near.values


def test_a_hold_on_a_missing_value_is_an_error(kept: Depot) -> None:
    """It counts nothing."""
    key = kept.deposit(b"content").key
    with pytest.raises(ValueLostError, match=r"1 large value\(s\) of this call are gone"):
        kept.hold([key, "unknown"])
    assert kept._record.values[key].users == 1


def test_a_hold_may_be_deleted_while_the_lock_of_the_depot_is_held(
    kept: Depot, near: MemoryStore
) -> None:
    """The garbage collector may remove it while its own thread has the depot's lock."""
    key = kept.deposit(b"content").key
    hold = kept.hold([key])
    kept.release([key])
    with kept._lock:
        del hold
    free_all(kept)
    assert not near.values


# --- the client's life


def test_close_closes_each_place_once_and_later_deposits_are_refused(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """Each place once; and nothing comes after it."""
    kept.use([near, far])
    kept.deposit(b"content")
    kept.close()
    kept.close()
    assert (near.closed, far.closed) == (1, 1)
    with pytest.raises(SystemFailureError, match="a backend that is closed"):
        kept.deposit(b"content")


def test_a_depot_may_be_closed_while_it_frees_a_value(kept: Depot, near: MemoryStore) -> None:
    """The value has gone from the record then."""
    kept.release([kept.deposit(b"content").key])
    near.deleting.shut()
    (thread,) = in_threads(lambda: free_all(kept))
    near.deleting.wait_until_reached()
    kept.close()
    near.deleting.open()
    thread.join()
    assert near.values == kept._record.values == {}


def test_a_fork_of_the_client_frees_nothing(kept: Depot, near: MemoryStore) -> None:
    """It would be Redis' copy, too, that goes."""
    kept.release([kept.deposit(b"content").key])

    def end() -> bool:
        kept.sweep(FOREVER)
        kept.renew()
        kept.close()
        return bool(near.closed or not near.values)

    assert ended(fork(end)) == 0


# --- results that workers have put


def test_a_result_stays_in_the_place_where_its_worker_put_it(
    kept: Depot, near: MemoryStore, far: MemoryStore
) -> None:
    """A user's own copy can be written to."""
    near.values["n"], far.values["f"] = b"near", b"far"
    hold = kept.take_over([Reference("n", 4), Reference("f", 3)])
    copy = kept.open(Reference("n", 4), writable=True)
    copy[0] = 0
    assert kept.open(Reference("n", 4)) == b"near"
    assert kept.open(Reference("f", 3), writable=True) == b"far"
    kept.renew()
    assert (near.renewed, far.renewed) == (["n"], ["f"])
    hold.close()
    assert kept.free_results()
    assert (near.values, far.values) == ({}, {})
    with pytest.raises(ValueLostError):
        kept.open(Reference("n", 4), writable=True)


def test_a_result_is_freed_as_soon_as_it_has_no_users(near: MemoryStore) -> None:
    released: list[None] = []
    kept = Depot([near], lambda: released.append(None))
    near.values["n"] = b"near"
    hold = kept.take_over([Reference("n", 4)])
    kept.retain(["n"])
    kept.release([kept.deposit(b"argument").key])
    assert released == []
    hold.close()
    assert not kept.free_results()
    assert kept.knows("n")
    kept.release(["n"])
    assert len(released) == 2
    assert kept.free_results()
    assert not kept.knows("n")
    assert list(near.values.values()) == [b"argument"], "which lingers"
    kept.close()
    assert not kept.free_results()


def test_results_without_users_make_room_for_others(kept: Depot, near: MemoryStore) -> None:
    near.room = 10
    near.values["n"] = b"a result"
    kept.take_over([Reference("n", 8)]).close()
    reference = kept.deposit(b"argument")
    assert near.values == {reference.key: b"argument"}
