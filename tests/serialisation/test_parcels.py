"""Large values leave the pickle, and come back to it."""

import copy
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from distribute_challenge.core.futures import Future
from distribute_challenge.core.needs import collecting
from distribute_challenge.errors import (
    ClusterStartError,
    SerialisationError,
    ValueLostError,
    ValueMissingError,
)
from distribute_challenge.serialisation import (
    Deposited,
    dumps_plain,
    loads,
    pack,
    pack_plain,
    pack_result,
    parcels,
    references_of,
    unpack,
    with_inputs,
    without_inputs,
)
from distribute_challenge.stores import Depot, Reference, SharedMemoryStore

LARGE = numpy.arange(20_000, dtype=float)
SMALL = numpy.arange(3, dtype=float)


class Window:
    """Like a data frame, it holds its data in inner objects, and its own code puts it together."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _window, ({"of": [pickle.PickleBuffer(self.data)]},)


def _window(parts: Any) -> Window:
    return Window(bytearray(parts["of"][0]))


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    depot = Depot([SharedMemoryStore(tmp_path)])
    yield depot
    depot.close()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Depot]:
    (tmp_path / "another").mkdir()
    depot = Depot([SharedMemoryStore(tmp_path / "another")])
    yield depot
    depot.close()


def kept(path: Path) -> list[Path]:
    return [path for path in path.glob("distribute_challenge-*/*") if path.name != "owner.lock"]


def test_small_values_are_ordinary_pickles(depot: Depot) -> None:
    """The depot is not even looked for."""

    def find() -> Depot:
        raise AssertionError

    for value in (1, [SMALL], {"key": Window(bytearray(10))}, LARGE[::2][:100]):
        packed = pack(value, "it", find)
        assert packed.data[0] == 0x80
        assert (packed.values, packed.beside) == ((), ())
        loads(packed.data)


def test_large_buffers_are_stored_in_the_depot(depot: Depot, tmp_path: Path) -> None:
    """Each content once; the parcel is small and names them."""
    value = {"arrays": [LARGE, SMALL, LARGE.copy()], "window": Window(bytearray(100_000))}
    packed = pack(value, "it", lambda: depot)
    assert len(packed.data) < 1000
    assert len(packed.values) == 3
    assert len(kept(tmp_path)) == len(set(packed.values)) == 2
    back = unpack(packed.data, depot.open)
    assert numpy.array_equal(back["arrays"][0], LARGE)
    assert numpy.array_equal(back["arrays"][2], LARGE)
    assert back["window"].data == bytearray(100_000)
    assert not back["arrays"][0].flags.writeable
    assert back["arrays"][1].flags.writeable


def test_a_large_pickle_without_buffers_is_stored_in_the_depot_as_a_whole(
    depot: Depot, tmp_path: Path
) -> None:
    """Texts, bytes and long lists have no buffers."""
    for value in (
        "x" * 200_000,
        b"x" * 200_000,
        list(range(100_000)),
        [LARGE[::2], {1}, "x" * 200_000],
    ):
        packed = pack(value, "it", lambda: depot)
        assert len(packed.data) < 200
        assert len(references_of(packed.data)) == 1
        assert str(unpack(packed.data, depot.open)) == str(value)


def test_without_a_depot_all_stays_in_the_pickle() -> None:
    """There may be no function that finds a depot, or one that finds none."""
    for find in (None, lambda: None):
        packed = pack([LARGE, "x" * 200_000], "it", find)
        assert packed.data[0] == 0x80
        assert references_of(packed.data) == []
        assert numpy.array_equal(unpack(packed.data)[0], LARGE)


def test_a_buffer_that_is_not_in_one_piece_stays_in_the_pickle(depot: Depot) -> None:
    """If its object says so, pickle itself refuses it."""

    class Striped:
        def __reduce_ex__(self, protocol: Any) -> Any:
            return bytes, (pickle.PickleBuffer(memoryview(LARGE)[::2]),)

    with pytest.raises(SerialisationError, match="non-contiguous"):
        pack(Striped(), "it", lambda: depot)


def test_a_value_that_cannot_be_pickled_leaves_nothing_in_the_depot(
    depot: Depot, tmp_path: Path
) -> None:
    """It was not put there before all was pickled."""
    with pytest.raises(SerialisationError):
        pack([LARGE, threading.Lock()], "it", lambda: depot)
    assert kept(tmp_path) == []


def test_values_deposited_before_the_depot_fails_are_released(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call was not sent, so no reply would release it later."""
    released: list[Any] = []
    deposit = depot.deposit

    def fail_second(buffer: Any) -> Reference:
        if released:
            raise OSError
        released.append([])
        return deposit(buffer)

    monkeypatch.setattr(depot, "deposit", fail_second)
    monkeypatch.setattr(depot, "release", released.append)
    with pytest.raises(OSError):  # noqa: PT011 - any
        pack([LARGE, LARGE + 1], "it", lambda: depot)
    assert len(released[1]) == 1


def test_an_error_while_the_depot_is_opened_passes_unchanged() -> None:
    """The cluster does not start, say."""

    def find() -> Depot:
        raise ClusterStartError("no")

    for value in (LARGE, "x" * 200_000):
        with pytest.raises(ClusterStartError, match="no"):
            pack(value, "it", find)


def test_a_large_result_is_stored_if_possible_and_otherwise_sent_beside_its_pickle(
    depot: Depot,
) -> None:
    """Else its buffers travel beside it, and its pickle in one piece."""
    text = "x" * 200_000
    placed = pack_result([LARGE, SMALL, text], "it", depot.deposit)
    assert (len(placed.data) < 300, placed.beside) == (True, [])
    assert numpy.array_equal(unpack(placed.data, depot.open)[0], LARGE)
    assert len(references_of(placed.data)) == 2
    beside = pack_result([LARGE, SMALL, LARGE + 1], "it", lambda buffer: None)
    assert [buffer.nbytes for buffer in beside.beside] == [LARGE.nbytes] * 2
    back = unpack(beside.data, depot.open, map(bytearray, beside.beside))
    assert numpy.array_equal(back[2], LARGE + 1)
    assert back[0].flags.writeable
    assert references_of(beside.data) == []
    within = pack_result([LARGE, text], "it", None)
    assert numpy.array_equal(unpack(within.data)[0], LARGE)


def test_a_result_array_is_writable_unless_the_call_made_it_read_only(depot: Depot) -> None:
    """A part of a large argument cannot, where the call runs; the caller's copy of it can."""
    argument = unpack(pack([LARGE, LARGE[:3]], "it", lambda: depot).data, depot.open)[0]
    closed = LARGE.copy()
    closed.flags.writeable = False
    parts = [argument, argument[:3], numpy.asarray(argument.data), closed, closed[:3], {1}]
    back = unpack(
        pack_result(parts, "it", depot.deposit).data,
        lambda reference: bytearray(depot.open(reference)),
    )
    assert [array.flags.writeable for array in back[:5]] == [True, True, True, False, False]
    assert numpy.array_equal(back[1], [0, 1, 2])


def test_large_built_in_results_are_stored_if_possible(depot: Depot) -> None:
    """They were pickled together already."""
    plain = dumps_plain(["x" * 200_000])
    assert plain is not None
    assert unpack(pack_plain(plain, depot.deposit), depot.open) == ["x" * 200_000]
    assert len(pack_plain(plain, depot.deposit)) < 200
    assert pack_plain(plain, None) == pack_plain(plain, lambda buffer: None) == plain
    assert pack_plain(b"small", depot.deposit) == b"small"


@pytest.mark.parametrize(
    "value", [5, "x" * 200_000, LARGE, [LARGE, SMALL, LARGE + 1, "x" * 200_000]]
)
def test_a_deposited_value_is_packed_as_references(
    value: Any, depot: Depot, tmp_path: Path
) -> None:
    """It is neither pickled again nor stored again, and comes out as the value."""
    deposited = Deposited(depot, pack(value, "it", lambda: depot))
    files = kept(tmp_path)
    packed = pack({"key": [deposited, deposited, LARGE[:1]]}, "call", lambda: depot)
    assert kept(tmp_path) == files
    assert len(packed.data) < 1000
    first, second, _ = unpack(packed.data, depot.open)["key"]
    assert first is second
    assert str(first) == str(value) == str(deposited.value())


def test_a_value_deposited_elsewhere_is_packed_by_value(depot: Depot, another: Depot) -> None:
    """This is so for another cluster, for none, and for pickle itself."""
    deposited = Deposited(depot, pack(LARGE, "it", lambda: depot))
    for find, open_it in ((lambda: another, another.open), (lambda: None, None), (None, None)):
        back = unpack(pack([deposited], "call", find).data, open_it)
        assert numpy.array_equal(back[0], LARGE)
    assert numpy.array_equal(pickle.loads(pickle.dumps(deposited)), LARGE)
    nowhere = Deposited(None, pack(LARGE, "it", None))
    assert numpy.array_equal(unpack(pack(nowhere, "call", lambda: depot).data, depot.open), LARGE)
    assert numpy.array_equal(nowhere.value(), LARGE)


def test_packing_a_deposited_value_that_is_gone_raises_value_lost_error(
    depot: Depot, another: Depot
) -> None:
    """It is not that it could not be pickled."""
    deposited = Deposited(depot, pack(LARGE, "it", lambda: depot))
    depot.close()
    with pytest.raises(ValueLostError):
        pack([deposited], "call", lambda: another)


def test_copying_a_deposited_value_returns_the_same_object(depot: Depot) -> None:
    """It is not a copy of the value."""
    deposited = Deposited(depot, pack(LARGE, "it", lambda: depot))
    assert copy.copy(deposited) is copy.deepcopy([deposited])[0] is deposited


def test_a_parcel_includes_the_modules_of_deposited_values(depot: Depot) -> None:
    """The worker needs them to unpickle it."""
    deposited = Deposited(depot, pack(Window(bytearray(100_000)), "it", lambda: depot))
    assert __name__ in pack([deposited], "call", lambda: depot).modules


def test_results_of_other_calls_travel_beside_the_arguments(depot: Depot) -> None:
    """What refers to large values is found in all of it."""
    with collecting() as needs:
        arguments = pack(([Future("a"), LARGE], {}), "call", lambda: depot).data
    assert len(needs) == 1
    blob = with_inputs(arguments, [pack(LARGE, "it", lambda: depot).data])
    (first, second), _ = unpack(blob, depot.open)
    assert numpy.array_equal(first, LARGE)
    assert numpy.array_equal(second, LARGE)
    assert len(references_of(blob)) == 2
    assert without_inputs(blob) == without_inputs(arguments) == arguments


def test_all_missing_values_of_other_calls_are_named_at_once(depot: Depot) -> None:
    """A worker asks its client for them once, however many they are."""
    with collecting():
        arguments = pack(([Future("a"), Future("b"), Future("c")], {}), "call").data
    blobs = [pack(LARGE + number, "it", lambda: depot).data for number in range(3)]
    keys = [references_of(blob)[0].key for blob in blobs]

    def open_second(reference: Reference) -> memoryview:
        if reference.key != keys[1]:
            raise ValueMissingError([reference.key])
        return depot.open(reference)

    with pytest.raises(ValueMissingError) as caught:
        unpack(with_inputs(arguments, blobs), open_second)
    assert caught.value.keys == (keys[0], keys[2])


def test_the_size_thresholds_are_64_kilobytes() -> None:
    """See benchmarks/payloads.py."""
    assert (parcels.LARGE_BUFFER, parcels.LARGE_STREAM) == (64_000, 64_000)
