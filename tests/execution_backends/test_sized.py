"""Engines of a chosen size, which executors share."""

from collections.abc import Iterator

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.errors import CallCancelledError, OptionError
from distribute_challenge.execution_backends import sized
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from tests.forks import ended, fork

double = compute_this(lambda x: 2 * x)


@pytest.fixture(autouse=True)
def nothing_unused() -> Iterator[None]:
    sized.close_unused()
    yield
    sized.close_unused()


def test_equal_sizes_share_an_engine() -> None:
    kind = ThreadsExecutionBackend()
    first = sized.lease(kind, 3)
    assert first is not None
    assert first is not kind
    assert first.concurrency == 3
    assert sized.lease(kind, 3) is first
    other = sized.lease(ProcessesExecutionBackend(), 3)
    assert other is not first
    assert other is not None
    for engine in (first, first, other):
        sized.give_back(engine)


def test_the_last_unused_engine_stays_open_until_another_size_is_leased() -> None:
    kind = ThreadsExecutionBackend()
    first = sized.lease(kind, 1)
    second = sized.lease(kind, 2)
    assert first is not None
    assert second is not None
    sized.give_back(second)
    sized.give_back(first)
    assert double(1).compute(first) == 2
    with pytest.raises(CallCancelledError):
        double(1).compute(second)
    third = sized.lease(kind, 3)
    assert third is not None
    with pytest.raises(CallCancelledError):
        double(1).compute(first)
    assert double(1).compute(third) == 2
    sized.give_back(third)


def test_no_size_can_be_chosen_for_a_backend_with_existing_workers(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    assert sized.lease(LocalExecutionBackend(), 2) is None
    assert sized.lease(CeleryExecutionBackend("redis://elsewhere"), 2) is None
    with LocalCluster(1) as cluster:
        assert sized.lease(cluster.backend, 2) is None
    clean_environment.setenv("CELERY_BROKER_URL", "redis://elsewhere")
    assert sized.lease(CeleryExecutionBackend(), 2) is None


@pytest.mark.slow
def test_an_embedded_cluster_is_started_with_the_leased_size(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    engine = sized.lease(CeleryExecutionBackend(), 1)
    assert engine is not None
    assert double(1).compute(engine) == 2
    assert engine.concurrency == 1
    sized.give_back(engine)


def test_the_size_of_a_cluster_that_is_not_its_own_is_refused() -> None:
    with pytest.raises(OptionError, match=r"workers=2 .*: give local=True, too"):
        CeleryExecutionBackend("redis://elsewhere", workers=2)


def test_a_child_of_a_fork_has_engines_of_its_own() -> None:
    kind = ThreadsExecutionBackend()
    engine = sized.lease(kind, 2)
    assert engine is not None

    def child() -> bool:
        sized.give_back(engine)
        return sized.lease(kind, 2) is not engine

    assert ended(fork(child)) == 1
    sized.give_back(engine)


def test_all_leased_engines_are_closed_at_the_end_of_the_program() -> None:
    engine = sized.lease(ThreadsExecutionBackend(), 1)
    sized._end()
    with pytest.raises(CallCancelledError):
        double(1).compute(engine)
