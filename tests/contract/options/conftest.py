"""Each engine in turn, with one worker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribute_challenge import ExecutionBackend
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.clusters.dask import DaskExecutionBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from distribute_challenge.execution_backends.run_adapter import RunAdapter
from tests.calls import wait_for
from tests.clusters import dask_schedulers, ray_backend
from tests.contract.engines import PARAMETERS, OnlyRun
from tests.contract.options.one_worker import RUN_ON_SUBMIT, TIMEOUT, Engine


@pytest.fixture(scope="module", params=PARAMETERS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    makers: dict[str, Callable[[], ExecutionBackend]] = {
        "local": LocalExecutionBackend,
        "threads": lambda: ThreadsExecutionBackend(1),
        "processes": lambda: ProcessesExecutionBackend(1),
        "celery": lambda: CeleryExecutionBackend(request.getfixturevalue("cluster").broker_url),
        "only-run": lambda: RunAdapter(OnlyRun()),
        "dask": lambda: DaskExecutionBackend(dask_schedulers()[1]),
        "ray": ray_backend,  # It has two workers, and refuses the options that need one.
    }
    engine = Engine(request.param, makers[request.param])
    with engine.backend:
        yield engine


@pytest.fixture
def backend(engine: Engine) -> ExecutionBackend:
    return engine.backend


@pytest.fixture
def busy(
    engine: Engine, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> Iterator[Path]:
    """The engine's one worker has something to do until this file exists."""
    if engine.name in RUN_ON_SUBMIT:
        pytest.skip("runs each call while it is submitted")
    door = tmp_path / "door"
    running = wait_for(str(door)).submit(engine.backend)
    try:
        eventually(Path(f"{door}.begun").exists)
        yield door
    finally:
        door.touch()
        running.result(TIMEOUT)
