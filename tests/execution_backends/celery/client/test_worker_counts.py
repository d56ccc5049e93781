"""What a client knows of its workers."""

import logging
from dataclasses import replace

import pytest

from distribute_challenge.errors import SecretError
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.client.worker_counts import (
    UNKNOWN_SLOTS,
    WARN_AFTER,
    WorkerCounts,
)

URL = "redis://:hunter2@example.org"
WORKER = WorkerPresence("w", 3, ["a"])


def test_a_number_of_processes_is_assumed_until_workers_are_known() -> None:
    """The client assumes as many as the caller says, or a few."""
    assert WorkerCounts(URL, None).slots() == UNKNOWN_SLOTS
    counts = WorkerCounts(URL, 7)
    assert counts.slots("a") == 7
    counts.take([WORKER], {}, 0.0)
    assert (counts.slots(), counts.slots("a"), counts.slots("b")) == (3, 3, 7)


def test_a_queue_without_workers_is_a_warning_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Workers with another secret are not named as long as there are workers with this one."""
    caplog.set_level(logging.WARNING, "distribute_challenge")
    counts = WorkerCounts(URL, None)
    for now in (0.0, WARN_AFTER - 1, WARN_AFTER, WARN_AFTER + 1):
        counts.take([WORKER], {"a": 1, "b": 2, "c": 0}, now, lambda: 3)
    assert caplog.text.count("no worker listens on the queue 'b'") == 1
    assert "hunter2" not in caplog.text


def test_workers_that_were_killed_are_missed_when_they_have_been_silent_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They say no good-bye, and count as slots for longer. One that goes on is enough."""
    counts = WorkerCounts(URL, None)
    silent = [replace(WORKER, age=age) for age in (WARN_AFTER - 1, WARN_AFTER, WARN_AFTER + 1)]
    counts.take(silent[:1], {"a": 1}, 9.0)
    counts.take(silent, {"a": 1}, 10.0)
    assert "no worker listens" not in caplog.text
    counts.take(silent[1:], {"a": 1}, 11.0)
    assert caplog.text.count("no worker listens on the queue 'a'") == 1
    counts.take([], {"a": 1}, 12.0)
    assert caplog.text.count("no worker listens on the queue 'a'") == 1
    assert counts.slots("a") == UNKNOWN_SLOTS


def test_silent_workers_are_not_missed_while_redis_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No worker can while Redis is away."""
    counts = WorkerCounts(URL, None)
    silent = [replace(WORKER, age=2 * WARN_AFTER)]
    counts.distrust(100.0)
    counts.distrust(50.0)
    for now in (100.0, 100.0 + WARN_AFTER - 1):
        counts.take(silent, {"a": 1}, now)
    assert not caplog.text
    counts.take(silent, {"a": 1}, 100.0 + WARN_AFTER)
    assert "no worker listens on the queue 'a'" in caplog.text


def test_unlisted_workers_are_not_missed_while_redis_is_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are not listed while Redis is full for long."""
    counts = WorkerCounts(URL, None)
    counts.distrust(100.0)
    for now in (0.0, 99.0, 100.0, 100.0 + WARN_AFTER - 1):
        counts.take([], {"a": 1}, now)
    assert not caplog.text
    counts.take([], {"a": 1}, 100.0 + WARN_AFTER)
    assert "no worker listens on the queue 'a'" in caplog.text


def test_workers_with_another_secret_are_looked_for_only_after_a_while() -> None:
    """The look takes a round trip."""
    counts = WorkerCounts(URL, None)
    looks: list[float] = []
    for now in (0.0, WARN_AFTER - 1, WARN_AFTER, WARN_AFTER + 1):
        counts.take([], {"a": 1}, now, lambda now=now: looks.append(now) or 0)  # type: ignore[misc] # bound now
    assert looks == [WARN_AFTER]


def test_waiting_calls_fail_if_all_workers_have_another_secret() -> None:
    """They do so if there are no others. Until then, one may come."""
    counts = WorkerCounts(URL, None)
    counts.take([], {"a": 1}, 0.0, lambda: 2)
    counts.take([], {"a": 0}, WARN_AFTER, lambda: 2)
    counts.take([], {"a": 1}, WARN_AFTER, lambda: 2)
    with pytest.raises(
        SecretError, match=r"all workers at redis://:\*\*\*@example.org \(2\) have another secret"
    ):
        counts.take([], {"a": 1}, 2 * WARN_AFTER, lambda: 2)
