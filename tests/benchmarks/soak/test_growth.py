"""Growth is told from noise and from warming up."""

from benchmarks.soak.growth import Sample, growth


def samples(memory: dict[int, int], name: str = "client") -> list[Sample]:
    return [Sample(calls, calls / 10, {name: taken}) for calls, taken in memory.items()]


def test_warm_up_samples_and_single_peaks_do_not_count_as_growth() -> None:
    memory = {calls: 100 if calls else 5 for calls in range(0, 1001, 20)}
    assert growth(samples({**memory, 500: 900, 860: 1000}), 1000) == {"client": 0}


def test_growth_leaves_out_processes_that_started_or_ended_during_the_run() -> None:
    early, late = samples({250: 5}, "old"), samples({900: 7}, "new")
    assert growth([*early, *late], 1000) == {}
