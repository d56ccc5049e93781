"""A report sees each call once, on every engine and by every way in."""

import asyncio
from typing import Any

import dask
import joblib
import pytest

import distribute_challenge.joblib  # noqa: F401 - registers the backend
from distribute_challenge import ExecutionBackend, Executor, compute_this, gather, use_backend
from distribute_challenge.core.recording import recording
from distribute_challenge.dask import get
from distribute_challenge.reporting.study import Study
from tests.contract.engines import TIMEOUT


@compute_this
def half(x: int) -> float:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x / 2


@compute_this
def add(*numbers: float) -> float:
    return sum(numbers)


@compute_this
def outer(x: int) -> float:
    """Make a call inside this call."""
    return half(x).compute()


def twice(x: int) -> int:
    return 2 * x


def counts(study: Study) -> dict[str, tuple[int, int]]:
    return {name: (each.calls, each.failed) for name, each in study.functions.items()}


@pytest.mark.slow
def test_a_report_counts_calls_made_in_any_way(engine: tuple[str, ExecutionBackend]) -> None:
    kind, backend = engine
    study = Study()
    with recording(study), use_backend(backend):
        assert half(2).compute() == 1
        future = half(3).submit()
        assert isinstance(future.exception(TIMEOUT), ValueError)
        assert len(list(half.map(range(10), batch_size=4, on_error="return"))) == 10

        async def wait() -> float:
            return await half(4)

        assert asyncio.run(wait()) == 2
        assert gather(add(add(1), add(2))) == 3
        assert outer(4).compute() == 2
    study.close()
    found = counts(study)
    assert found["add"] == (3, 0)
    assert found["outer"] == (1, 0)
    assert found["half"] == (13, 6)
    assert study.open == 0
    figures = study.functions["half"]
    assert figures.arguments.count == 13
    assert figures.arguments.total > 0
    kinds = {kind.text: kind for kind in study.failures.kinds.values()}
    assert {f"{number} is odd" for number in (1, 3, 5, 7, 9)} == set(kinds)
    assert kinds["3 is odd"].count == 2
    assert kinds["3 is odd"].call == "half(3)"
    assert kinds["9 is odd"].call == "half(9)"
    assert "raise ValueError" in kinds["9 is odd"].traceback
    if kind == "only-run":  # It measures nothing.
        assert figures.running.count == figures.results.count == 0
    else:
        assert (
            figures.running.count == sum(study.lanes.calls.values()) - 4
        )  # Those of the other two functions.
        assert figures.results.count == figures.running.count - 6
        assert figures.results.total > 0
        assert kinds["3 is odd"].worker in study.lanes.busy


@pytest.mark.slow
def test_a_report_counts_calls_of_executor_joblib_and_dask(backend: ExecutionBackend) -> None:
    study = Study()
    with recording(study), use_backend(backend):
        with Executor(backend=backend) as executor:
            assert executor.submit(twice, 2).result(TIMEOUT) == 4
            assert sum(executor.map(twice, range(6), chunksize=2)) == 30
        with Executor(1, backend=backend) as limited:
            assert limited.submit(twice, 2).result(TIMEOUT) == 4
        with joblib.parallel_config(backend="distribute_challenge"):
            tasks = (joblib.delayed(twice)(number) for number in range(4))
            assert joblib.Parallel(n_jobs=2)(tasks) == [0, 2, 4, 6]
        lazy: Any = dask.delayed(twice, pure=False)
        assert lazy(lazy(1)).compute(scheduler=get) == 4
    study.close()
    found = counts(study)
    assert found.pop("twice")[0] == 1 + 3 + 1 + 1
    # Where a call runs at once, joblib runs its tasks without a backend.
    assert set(found) == ({"joblib_batch"} if backend.concurrency else set())
    assert all(calls and not failed for calls, failed in found.values())


@pytest.mark.parametrize("number", [1, 2])
def test_result_sizes_are_measured_only_for_a_report(
    backend: ExecutionBackend, number: int
) -> None:
    future = add(number).submit(backend)
    assert future.result(TIMEOUT) == number
    assert future.result_size is None
