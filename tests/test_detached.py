"""`attach` and `submit(detach=True)` where there is no cluster that outlives the caller."""

from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, LocalCluster, attach, compute_this
from distribute_challenge.errors import BackendError, OptionError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from distribute_challenge.execution_backends.run_adapter import RunAdapter


@compute_this
def square(x: int) -> int:
    return x * x


@pytest.fixture(
    params=[
        LocalExecutionBackend,
        lambda: ThreadsExecutionBackend(1),
        lambda: ProcessesExecutionBackend(1),
        CeleryExecutionBackend,
        lambda: LocalCluster(1).backend,
        lambda: RunAdapter(CeleryExecutionBackend()),
    ],
    ids=["local", "threads", "processes", "embedded", "local cluster", "only-run"],
)
def mortal(request: pytest.FixtureRequest, clean_environment: Any) -> Iterator[ExecutionBackend]:
    """An engine that ends with this process."""
    with request.param() as backend:
        yield backend


def test_an_engine_that_ends_with_its_process_has_no_detached_calls(
    mortal: ExecutionBackend,
) -> None:
    """It says what does, at once, and starts nothing."""
    with pytest.raises(BackendError, match=r"CELERY_BROKER_URL=.*`distribute-challenge cluster`"):
        square(3).submit(mortal, detach=True)
    with pytest.raises(BackendError, match="CELERY_BROKER_URL"):
        attach("0" * 32, mortal)


def test_a_call_inside_a_call_cannot_be_detached() -> None:
    """It runs in the process of the one around it."""

    @compute_this
    def outer() -> str:
        try:
            square(3).submit("celery", detach=True)
        except BackendError as error:
            return str(error)
        return ""

    assert "inside a call" in outer().compute("threads")


@pytest.mark.parametrize(
    "seconds", [0, -1, 0.0001, float("nan"), float("inf"), 1e9, True, None, "1"]
)
def test_a_time_to_live_is_a_number_of_seconds(seconds: Any) -> None:
    """The error comes before anything is sent."""
    with pytest.raises(
        OptionError, match=r"time_to_live=.*expected the seconds that the result is kept"
    ):
        square(3).submit("local", detach=True, time_to_live=seconds)


@pytest.mark.parametrize("id", [None, 3, b"bytes"])
def test_attach_refuses_an_id_that_is_not_a_text(id: Any) -> None:  # noqa: A002
    """It is the text that the future gave."""
    with pytest.raises(OptionError, match=r"attach\(.*expected the text that future.id gave"):
        attach(id, "local")


def test_futures_of_every_engine_have_an_id() -> None:
    """Each has its own, which stays."""
    first, second = square(1).submit("local"), square(1).submit("threads")
    assert first.id == first.id != second.id
