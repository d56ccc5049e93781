"""Faults as values, and drawn from a seed."""

from itertools import islice, pairwise

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.schedule import PAUSE, at_random

DURATIONS = [(name, kind.lasts) for name, kind in KINDS.items()]


def test_a_seed_gives_the_same_faults_each_time_and_another_seed_others() -> None:
    first, again, other = (list(islice(at_random(seed, DURATIONS), 100)) for seed in (1, 1, 2))
    assert first == again != other


def test_faults_come_one_after_the_other_and_last_as_long_as_their_kind_allows() -> None:
    faults = list(islice(at_random(3, DURATIONS), 500))
    for before, after in pairwise(faults):
        assert PAUSE[0] - 0.1 <= after.at - before.at - before.lasts <= PAUSE[1] + 0.1
    for fault in faults:
        shortest, longest = KINDS[fault.kind].lasts
        assert shortest <= fault.lasts <= longest
    assert {fault.kind for fault in faults} == set(KINDS)
