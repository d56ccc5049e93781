"""`put`, and the handle that it gives."""

import gc
from pathlib import Path

import numpy
import pytest

from distribute_challenge import LocalCluster, Shared, compute_this, put
from distribute_challenge.errors import SerialisationError
from distribute_challenge.execution_backends.celery.client import values as client_values
from tests.stores.shared_memory.files import values_below

ARRAY = numpy.arange(100_000, dtype=float)


@compute_this
def total(x: numpy.ndarray) -> float:
    return float(x.sum())


def test_the_repr_of_a_handle_shows_type_and_size() -> None:
    """It does so without the value."""
    shared = put(ARRAY, "local")
    assert isinstance(shared, Shared)
    assert repr(shared) == "<Shared ndarray, 800.1 kB>"
    assert 800_000 <= shared.size < 801_000
    assert numpy.array_equal(shared.get(), ARRAY)
    assert shared.get() is not shared.get()


def test_a_handle_has_the_value_at_the_time_of_put() -> None:
    """This holds on every backend."""
    items = [1, 2]
    shared = put(items, "threads")
    items.append(3)
    assert compute_this(sum)(shared).compute("threads") == 3


def test_putting_a_value_that_cannot_be_pickled_is_an_error() -> None:
    """The message says what it was."""
    with pytest.raises(SerialisationError, match="the list to be shared"):
        put([(i for i in ())], "local")


@pytest.mark.slow
def test_a_put_value_is_kept_as_long_as_its_handle_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually
) -> None:
    """Sent once for all calls."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    monkeypatch.setattr("distribute_challenge.stores.record.LINGER", 0.0)
    monkeypatch.setattr(client_values, "LOOK_EVERY", 0.02)

    def kept() -> int:
        return len(values_below(tmp_path))

    with LocalCluster(1):
        shared = put(ARRAY)
        assert kept() == 1
        assert list(total.map([shared] * 3)) == [ARRAY.sum()] * 3
        captured = compute_this(lambda row: float(shared[row]))  # type: ignore[index] # the array, there
        assert [captured(row).compute() for row in range(3)] == [0, 1, 2]
        assert kept() == 1
        assert numpy.array_equal(shared.get(), ARRAY)
        shared = captured = None  # type: ignore[assignment]
        gc.collect()
        eventually(lambda: kept() == 0)
