"""Counters of results that have been read, without a semaphore."""

import os

import pytest
from billiard import get_context

from distribute_challenge.execution_backends.celery.worker.overrides.ready_counter import (
    ReadyCounter,
    without_semaphores,
)


@pytest.mark.slow
def test_a_forked_child_sees_what_its_parent_has_written() -> None:
    counter = without_semaphores(get_context("fork")).Value("i")
    assert isinstance(counter, ReadyCounter)
    written, told = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in a process of its own
        os.read(written, 1)
        os._exit(counter.value)
    with counter.get_lock():
        counter.value += 3
    os.write(told, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    os.close(written)
    os.close(told)


def test_the_counter_of_billiard_is_used_if_children_are_not_forked() -> None:
    """All else is billiard's in any case."""
    spawn, fork = get_context("spawn"), get_context("fork")
    assert without_semaphores(spawn) is spawn
    assert without_semaphores(fork).Process is fork.Process
