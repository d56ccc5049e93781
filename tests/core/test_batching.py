"""How many calls go together."""

import math

import pytest

from distribute_challenge.core.batching import (
    GROWTH,
    LARGEST,
    LARGEST_RESULTS,
    LARGEST_UNKNOWN,
    MESSAGES,
    TARGET,
    WORTH,
    BatchSizer,
    window,
)


def test_the_first_batch_of_an_unknown_function_has_one_call() -> None:
    """The client does not know yet how long a call takes."""
    assert BatchSizer().size(waiting=math.inf, slots=4) == 1


def test_a_batch_grows_by_no_more_than_its_growth() -> None:
    """The first durations may not be typical."""
    sizer = BatchSizer(LARGEST)
    sizer.record(calls=1, seconds=1e-6, size=1)
    sizes = [sizer.size(math.inf, 1) for _ in range(6)]
    assert sizes == [GROWTH, GROWTH**2, GROWTH**3, GROWTH**4, LARGEST, LARGEST]


def test_a_batch_holds_no_more_work_than_the_target() -> None:
    """Long calls travel alone."""
    sizer = BatchSizer()
    sizer.record(calls=1, seconds=10 * TARGET)
    assert sizer.size(math.inf, 1) == 1


def test_many_workers_get_larger_messages_rather_than_more_of_them() -> None:
    """One client and one main process have to keep up with all of them."""
    sizer = BatchSizer()
    sizer.record(calls=1, seconds=0.1)
    assert sizer.size(waiting=10_000, slots=8) == 1
    assert sizer.size(waiting=10_000, slots=64) == int(64 / MESSAGES / 0.1) == 2
    assert sizer.size(waiting=100, slots=64) == 1


def test_a_batch_is_no_more_than_a_fair_share_of_what_waits() -> None:
    """At the end every worker has something to do."""
    sizer = BatchSizer()
    sizer.record(calls=100, seconds=0.1)
    assert sizer.size(waiting=8, slots=2) == 2
    assert sizer.size(waiting=0, slots=0) == 1


def test_calls_that_take_less_than_a_message_costs_are_not_divided() -> None:
    sizer = BatchSizer()
    sizer.record(calls=1000, seconds=0.1)
    assert sizer.size(waiting=8, slots=2) == 8
    assert sizer.size(waiting=24, slots=2) == WORTH / 0.0001 == 10
    assert sizer.size(waiting=80, slots=2) == 20


def test_calls_that_take_no_time_make_the_largest_batch() -> None:
    """There is no division by zero. A clock that went back counts as no time."""
    sizer = BatchSizer()
    sizer.record(calls=1, seconds=-1.0)
    for _ in range(10):
        size = sizer.size(math.inf, 4)
    assert size == LARGEST_UNKNOWN


def test_results_of_which_only_some_sizes_are_known_do_not_make_a_batch_larger() -> None:
    """With `submit`, only the size of what lies in stores is known."""
    sizer = BatchSizer()
    sizer.record(calls=4096, seconds=1e-3, size=100_000)
    for _ in range(10):
        size = sizer.size(math.inf, 4)
    assert size == LARGEST_UNKNOWN


def test_a_slower_measurement_is_adopted_at_once() -> None:
    """Too large a batch hurts more than one too small."""
    sizer = BatchSizer()
    sizer.record(1, 0.001)
    sizer.record(1, 1.0)
    assert sizer.seconds_per_call == 1.0


def test_a_faster_measurement_is_adopted_gradually() -> None:
    """Half of the way each time."""
    sizer = BatchSizer()
    sizer.record(1, 1.0)
    sizer.record(1, 0.0)
    assert sizer.seconds_per_call == pytest.approx(0.5)


def test_the_window_keeps_every_worker_busy() -> None:
    """It holds one running, one ready and some to spare, also for an unknown number of workers."""
    assert window(0) == window(1) == 4
    assert window(10) == 22


def test_large_results_bound_the_calls_of_a_batch() -> None:
    """They wait for the last of its calls."""
    sizer = BatchSizer()
    sizer.record(100, 0.001, size=100 * LARGEST_RESULTS // 5)
    assert sizer.size(math.inf, 1) == 5
    sizer.record(5, 0.001, size=50 * LARGEST_RESULTS)
    assert sizer.size(math.inf, 1) == 1
    sizer.record(1, 0.001)
    assert sizer.size(math.inf, 1) == GROWTH
