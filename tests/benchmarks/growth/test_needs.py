"""From small clusters to large ones, on paper."""

import pytest

from benchmarks.growth.needs import Message, needs, waiting
from benchmarks.growth.standing import SETTINGS, each
from tests.benchmarks.growth.recorded import SEARCH, figures, standing

FOUND = each({setting: standing(setting) for setting in SETTINGS})


def test_differences_tell_what_one_more_asks() -> None:
    assert FOUND["worker"].connections == 10
    assert FOUND["child"].connections == 2
    assert FOUND["client"].connections == 3
    assert FOUND["pair"].connections == 0
    assert FOUND["pair"].sent == pytest.approx(400)


def test_a_large_cluster_is_the_sum_of_its_parts() -> None:
    message = Message.of(figures(1_000, redis=0.2))
    assert message == Message(11, 5_000, 2_000, pytest.approx(0.0002))
    found = needs(FOUND, message, workers=10, children=16, clients=100, duration=0.5)
    assert found.connections == pytest.approx(10 * 10 + 160 * 2 + 100 * 3)
    assert found.messages == pytest.approx(320)
    assert found.commands == pytest.approx(10 * 7 + 100 * 6 + 320 * 11)
    # What the one worker and the one client of the smallest cluster ask of each other is in both.
    standing_alone = 10 * (100 + 400) + 100 * (50 + 400)
    assert found.sent == pytest.approx(standing_alone + 400 * 10 * 100 + 320 * 2_000)
    assert found.cores == pytest.approx(320 * 0.0002)


def test_a_cluster_that_runs_nothing_sends_no_messages() -> None:
    message = Message(11, 5_000, 2_000, 0.0002)
    found = needs(FOUND, message, workers=1, children=1, clients=1, duration=None)
    assert found.messages == 0
    assert found.connections == 10 + 2 + 3


def test_each_client_looks_for_all_of_a_short_queue() -> None:
    alone = waiting(SEARCH, processes=500, clients=1)
    assert alone.queued == 1_002 - 500
    assert alone.memory == 502 * 2_000
    assert alone.asked == 1_002
    assert alone.looked == 502
    assert alone.cores == pytest.approx(1_002 * 5e-7 + 502 * 503 / 2 * 2e-8)


def test_clients_together_go_through_a_limited_part_of_a_long_queue() -> None:
    many = waiting(SEARCH, processes=1_000, clients=100)
    assert many.queued == 100 * 2_002 - 1_000
    # The oldest messages of a client are 100, 200, 300, ... entries from the end, and its share is
    # a hundredth of 500,000. An entry is one of the longer queue that was measured.
    assert many.looked == 9
    assert many.cores == pytest.approx(200_200 * 1e-6 + 100 * 100 * 9 * 10 / 2 * 1e-7)
