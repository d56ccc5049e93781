"""What the objects of the library show of themselves, in a shell and in a log."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Executor, LocalCluster, compute_this, put
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.clusters.dask import DaskExecutionBackend
from distribute_challenge.execution_backends.clusters.ray import RayExecutionBackend
from distribute_challenge.execution_backends.limited import LimitedBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from distribute_challenge.execution_backends.run_adapter import RunAdapter
from tests.calls import wait_for
from tests.core.test_card import Parsed
from tests.optional import needed
from tests.processes import PATIENCE, wait_until

PLACE = r"[^/>]+@[^/>]+/\d+"


@compute_this
def talk(path: str) -> str:
    """Print a line, and run until a file exists."""
    print("begun", flush=True)
    while not os.path.exists(path):
        threading.Event().wait(0.005)
    return "done"


@compute_this
def reciprocal(x: int) -> float:
    return 1 / x


class Runner:
    def run(self, serialised_func: bytes, args: Any, kwargs: Any) -> None:
        raise NotImplementedError


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    kinds: dict[str, Any] = {
        "threads": ThreadsExecutionBackend,
        "processes": ProcessesExecutionBackend,
    }
    with kinds[request.param](2) as backend:
        yield backend


def test_a_future_of_a_pool_shows_the_worker_that_runs_it(pool: Any, tmp_path: Path) -> None:
    door = tmp_path / "door"
    future = wait_for(str(door)).submit(pool)
    try:
        wait_until(Path(f"{door}.begun").exists)
        assert re.fullmatch(rf"<Future wait_for\('.*door'\) running on {PLACE}.*>", repr(future))
    finally:
        door.touch()
    assert future.result(PATIENCE) == "done"
    assert re.fullmatch(
        rf"<Future wait_for finished 'done' in [0-9.]+ .?s on {PLACE}.*>", repr(future)
    )


def test_a_notebook_shows_a_future_as_a_table() -> None:
    failed = reciprocal(0).submit("threads")
    assert isinstance(failed.exception(PATIENCE), ZeroDivisionError)
    words = Parsed(failed._repr_html_()).words
    assert words[:6] == ["Future", "call", "reciprocal", "state", "failed", "error"]
    assert words[6].startswith("ZeroDivisionError")
    assert words[7] == "ran for"


def test_a_process_that_is_still_starting_has_no_name() -> None:
    with ProcessesExecutionBackend(1) as backend:
        reciprocal(1).compute(backend)
        (runner,) = backend._pool._runners
        runner._let_go()  # type: ignore[attr-defined]
        assert runner.worker == "a new process"


def test_the_repr_of_a_backend_neither_connects_nor_shows_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It shows no password, and neither connects nor starts anything."""
    threads = ThreadsExecutionBackend(1)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_BROKER_URL", raising=False)
    shown = {
        threads: "ThreadsExecutionBackend(1 worker)",
        ProcessesExecutionBackend(3): "ProcessesExecutionBackend(3 workers)",
        LocalExecutionBackend(): "LocalExecutionBackend()",
        RunAdapter(Runner()): "RunAdapter(Runner)",
        LimitedBackend(threads): "LimitedBackend(ThreadsExecutionBackend(1 worker))",
        LimitedBackend(threads, 5): (
            "LimitedBackend(ThreadsExecutionBackend(1 worker), at most 5 calls at a time)"
        ),
        CeleryExecutionBackend(): ("CeleryExecutionBackend(an embedded cluster, not started)"),
        CeleryExecutionBackend("redis://me:secret@host:1/0?password=secret"): (
            "CeleryExecutionBackend(redis://me:***@host:1/0?password=***, not connected)"
        ),
    }
    assert {backend: repr(backend) for backend in shown} == shown


def test_a_backend_of_another_system_shows_its_address() -> None:
    needed("distributed")
    needed("ray")
    for kind, address in (
        (DaskExecutionBackend, "tcp://me:secret@host:1"),
        (RayExecutionBackend, "ray://me:secret@host:1"),
    ):
        shown = address.replace("secret", "***")
        assert repr(kind(address)) == f"{kind.__name__}({shown})"
        assert repr(kind()) == f"{kind.__name__}()"


def test_a_cluster_that_is_known_to_have_died_says_so(tmp_path: Path) -> None:
    cluster = LocalCluster(workers=1)
    cluster._embedded.folder, cluster._embedded._death = tmp_path, "its worker died"
    assert repr(cluster).startswith("LocalCluster(1 worker, died, redis+socket://")
    cluster._embedded.folder = None


def test_an_executor_shows_its_backend_and_its_open_calls(tmp_path: Path) -> None:
    threads = ThreadsExecutionBackend(2)
    with threads, Executor(3, backend=threads) as limited, Executor(backend=threads) as plain:
        future = plain.submit(wait_for.__wrapped__, str(tmp_path / "door"))
        assert repr(plain) == "Executor(ThreadsExecutionBackend(2 workers), 1 call open)"
        (tmp_path / "door").touch()
        assert future.result(PATIENCE) == "done"
        limited.shutdown()
        assert repr(limited) == (
            "Executor(3 workers, ThreadsExecutionBackend(2 workers), 0 calls open, shut down)"
        )
        limited._calls.broken = ValueError()  # type: ignore[assignment]
        assert repr(limited).endswith("0 calls open, broken)")


def test_a_map_shows_how_far_it_has_come() -> None:
    results = reciprocal.map(range(4), backend="local", batch_size=2, on_error="return")
    assert repr(results) == "<MapResults of reciprocal, 0 of 4 results, not begun>"
    next(results)
    assert repr(results) == "<MapResults of reciprocal, 2 of 4 results, 1 failed>"
    assert len(list(results)) == 3
    assert repr(results) == "<MapResults of reciprocal, 4 of 4 results, 1 failed, ended>"
    unknown = reciprocal.map((x for x in ()), backend="local")
    assert repr(unknown) == "<MapResults of reciprocal, 0 results, not begun>"
    assert list(unknown) == []


def test_a_call_with_many_arguments_is_shown_on_one_short_line() -> None:
    call = compute_this(max)(*range(1000))
    assert len(repr(call)) < 250
    assert call.compute("local") == 999
    assert re.fullmatch(r"<Shared list, [0-9.]+ kB>", repr(put(list(range(1000)), "threads")))


@pytest.mark.celery
@pytest.mark.slow
def test_a_cluster_and_its_calls_show_their_state(tmp_path: Path) -> None:
    """A call that has printed is known to run."""
    cluster = LocalCluster(workers=2)
    assert repr(cluster) == "LocalCluster(2 workers, not running)"
    door = tmp_path / "door"
    with cluster:
        url = cluster.broker_url
        assert repr(cluster) == f"LocalCluster(2 workers, running, {url})"
        words = Parsed(cluster._repr_html_()).words
        assert words[1:6:2] + words[6:7] == ["size", "state", "broker", url]
        assert repr(cluster.backend) == f"CeleryExecutionBackend(2 workers, running, {url})"
        future = talk(str(door)).submit()
        try:
            wait_until(lambda: re.fullmatch(r"<Future talk.* running on worker-\d>", repr(future)))
        finally:
            door.touch()
        assert future.result(PATIENCE) == "done"
        assert re.fullmatch(
            rf"<Future talk finished 'done' in [0-9.]+ .?s on {PLACE}>", repr(future)
        )
        reached = CeleryExecutionBackend(url)
        with reached:
            assert reciprocal(2).compute(reached) == 0.5
            assert repr(reached) == f"CeleryExecutionBackend({url}, connected)"
    assert repr(cluster) == "LocalCluster(2 workers, not running)"
