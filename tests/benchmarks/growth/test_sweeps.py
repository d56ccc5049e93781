"""What grows."""

import pytest

from benchmarks.growth.sweeps import IN_FLIGHT, SWEEPS, Setting, chosen

GIGABYTE = 10**9


@pytest.mark.parametrize("name", SWEEPS)
def test_one_thing_grows_and_the_rest_stays(name: str) -> None:
    sweep = SWEEPS[name]
    for value in sweep.values:
        setting = sweep.setting(value, workers=3)
        assert getattr(setting, name) == value
        assert setting.workers == (value if name == "workers" else 3)
    assert set(sweep.quick) <= set(sweep.values)


def test_each_worker_process_has_as_many_calls_in_flight() -> None:
    found = [SWEEPS["workers"].setting(workers, 2).in_flight for workers in (1, 2, 64)]
    assert found == [500, 1_000, 32_000]
    assert SWEEPS["clients"].setting(32, 2).in_flight == IN_FLIGHT == 1_000


def test_fewer_large_arguments_are_in_flight() -> None:
    found = [SWEEPS["size"].setting(size, 2).in_flight for size in (1_000, 10**6, 10**9)]
    assert found == [1_000, 250, 1]


def test_memory_grows_with_everything() -> None:
    base = Setting()
    larger = [
        Setting(workers=64),
        Setting(in_flight=10**6),
        Setting(size=GIGABYTE, in_flight=1),
        Setting(clients=32),
    ]
    assert all(each.memory > base.memory for each in larger)
    assert Setting(size=GIGABYTE, in_flight=1).memory > 2 * GIGABYTE


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="no sweep is called speed; there are workers, in_flight"):
        chosen(["speed"])
