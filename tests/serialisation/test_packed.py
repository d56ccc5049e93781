"""A value that is packed once for all calls that need it."""

from collections.abc import Iterator
from typing import Any

import numpy
import pytest

from distribute_challenge.serialisation import pack, pack_result, unpack
from distribute_challenge.serialisation.packed import Packed
from distribute_challenge.stores import Depot
from tests.stores.memory import MemoryStore

LARGE = numpy.arange(20_000, dtype=float)


@pytest.fixture
def depots() -> Iterator[tuple[Depot, Depot]]:
    depots = Depot([MemoryStore()]), Depot([MemoryStore()])
    yield depots
    for depot in depots:
        depot.close()


def unpacked(packed: Packed | None, depot: Depot) -> Any:
    assert packed is not None
    return unpack(packed.parcel.data, depot.open)


def test_a_packed_value_without_large_parts_can_be_used_with_any_depot(
    depots: tuple[Depot, Depot],
) -> None:
    depot, _ = depots
    packed = Packed(None, pack([1, 2], "it"))
    assert packed.for_depot(None) is packed
    assert unpacked(packed.for_depot(depot), depot) == [1, 2]


def test_parts_that_travelled_in_a_reply_are_stored_once(depots: tuple[Depot, Depot]) -> None:
    """They are freed with the last user."""
    depot, other = depots
    came = Packed(depot, pack_result([LARGE, "x", LARGE + 1], "it", lambda buffer: None))
    assert came.for_depot(None) is None
    stored = came.for_depot(depot)
    assert numpy.array_equal(unpacked(stored, depot)[2], LARGE + 1)
    assert stored is not None
    assert stored.for_depot(depot) is stored
    assert stored.for_depot(other) is None, "it cannot be reached from there"
    keys = stored.parcel.values
    assert len(keys) == 2
    del stored
    depot.sweep(1e12)
    assert not any(depot.knows(key) for key in keys)


def test_a_value_with_parts_in_a_store_and_in_a_reply_is_put_together(
    depots: tuple[Depot, Depot],
) -> None:
    depot, other = depots
    places = iter([depot.deposit, lambda buffer: None])
    parcel = pack_result([LARGE, LARGE + 1], "it", lambda buffer: next(places)(buffer))
    (key,) = depot._record.values
    came = Packed(depot, parcel._replace(values=(key,)))
    assert came.for_depot(other) is None
    stored = came.for_depot(depot)
    assert [array[0] for array in unpacked(stored, depot)] == [0, 1]
