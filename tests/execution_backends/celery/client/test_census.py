"""What a client knows of its workers."""

import logging

import pytest

from distribute_challenge.errors import SecretError
from distribute_challenge.execution_backends.celery.broker.presence import WorkerPresence
from distribute_challenge.execution_backends.celery.client.census import UNKNOWN_SLOTS, WARN_AFTER, Census

URL = "redis://:hunter2@example.org"
WORKER = WorkerPresence("w", 3, ["a"])


def test_processes_are_assumed_until_some_are_known() -> None:
    """As many as the caller says, or a few."""
    assert Census(URL, None).slots() == UNKNOWN_SLOTS
    census = Census(URL, 7)
    assert census.slots("a") == 7
    census.take([WORKER], {}, 0.0)
    assert (census.slots(), census.slots("a"), census.slots("b")) == (3, 3, 7)


def test_a_queue_that_nobody_serves_is_a_warning_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """Strangers are no reason as long as there are others."""
    caplog.set_level(logging.WARNING, "distribute_challenge")
    census = Census(URL, None)
    for now in (0.0, WARN_AFTER - 1, WARN_AFTER, WARN_AFTER + 1):
        census.take([WORKER], {"a": 1, "b": 2, "c": 0}, now, lambda: 3)
    assert caplog.text.count("no worker listens on the queue 'b'") == 1
    assert "hunter2" not in caplog.text


def test_nobody_looks_for_strangers_before_it_matters() -> None:
    """It takes a round trip."""
    census = Census(URL, None)
    looks: list[float] = []
    for now in (0.0, WARN_AFTER - 1, WARN_AFTER, WARN_AFTER + 1):
        census.take([], {"a": 1}, now, lambda now=now: looks.append(now) or 0)  # type: ignore[misc] # bound now
    assert looks == [WARN_AFTER]


def test_workers_with_another_secret_fail_what_waits_after_a_while() -> None:
    """If there are no others: until then, one may come."""
    census = Census(URL, None)
    census.take([], {"a": 1}, 0.0, lambda: 2)
    census.take([], {"a": 0}, WARN_AFTER, lambda: 2)
    census.take([], {"a": 1}, WARN_AFTER, lambda: 2)
    with pytest.raises(SecretError, match=r"all workers at redis://:\*\*\*@example.org \(2\) have another secret"):
        census.take([], {"a": 1}, 2 * WARN_AFTER, lambda: 2)
