"""What `Executor` has besides the standard library's interface: the words of Dask's client."""

import importlib
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Executor, LocalCluster, Shared
from distribute_challenge.errors import BackendError, CallError, ClusterStartError, OptionError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.calls import initialise, state, wait_in_process
from tests.executor.calls import double
from tests.processes import wait_until

dask = pytest.importorskip("dask")

TIMEOUT = 30  # Seconds after which a test would rather fail than wait.


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    # Without a `with` block, which would make it the backend of all other tests.
    cluster = LocalCluster(workers=1).start()
    yield cluster
    cluster.close()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the entries of ``sys.path`` back."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def value_of(module: str) -> Any:
    return importlib.import_module(module).VALUE


def raise_if_two(number: int) -> int:
    if number == 2:
        raise ValueError(number)
    return number


def test_scatter_sends_the_items_of_collections() -> None:
    with Executor(backend="processes") as executor:
        handle = executor.scatter(bytes(1000), broadcast=True)
        assert type(handle) is Shared
        assert executor.submit(len, handle).result(TIMEOUT) == 1000
        for data in ([1, 2], (1, 2), {1, 2}, frozenset([1, 2]), {"a": 1, "b": [2, 3]}):
            scattered = executor.scatter(data)
            items = scattered.values() if isinstance(data, dict) else scattered
            assert type(scattered) is type(data)
            assert {type(each) for each in items} == {Shared}
            assert executor.gather(scattered) == data
        texts = executor.scatter(["1", "2"])
        assert list(executor.map(int, texts)) == [1, 2]


def test_gather_gives_values_in_the_structure_of_the_futures() -> None:
    with Executor(backend="threads") as executor:
        one, two = executor.submit(double, 1), executor.submit(double, 2)
        assert executor.gather(one) == 2
        assert executor.gather([one, {"k": (two, one)}, 7]) == [2, {"k": (4, 2)}, 7]
        assert list(executor.gather(iter([one, [two]]))) == [2, [4]]


def test_gather_raises_or_skips_what_has_failed(tmp_path: Path) -> None:
    door = tmp_path / "door"
    with Executor(1, backend="processes") as executor:
        futures = [executor.submit(raise_if_two, number) for number in range(4)]
        waiting = executor.submit(wait_in_process, str(door))
        cancelled = executor.submit(double, 1)
        assert cancelled.cancel()
        door.touch()
        assert waiting.result(TIMEOUT)
        with pytest.raises(ValueError, match="2"):
            executor.gather(futures)
        failed, good = futures[2], futures[3]
        skipped = executor.gather([*futures, cancelled], errors="skip")
        assert skipped == [0, 1, 3]
        assert executor.gather(failed, errors="skip") is None
        nested = {"a": failed, "b": (failed, good), "c": {good, failed}, "d": 5}
        assert executor.gather(nested, errors="skip") == {
            "a": None,
            "b": (None, 3),
            "c": {3},
            "d": 5,
        }
        with pytest.raises(OptionError, match=r"errors='ignore': expected 'raise' or 'skip'"):
            executor.gather(futures, errors="ignore")  # type: ignore[arg-type]


def test_dask_s_graphs_and_collections_are_computed() -> None:
    with Executor(backend="processes", retries=1) as executor:
        graph = {"x": 1, "y": (double, "x"), "z": (sum, ["x", "y"])}
        assert executor.get(graph, ["y", "z"]) == (2, 3)
        call = dask.delayed(double)(4)
        assert call.compute(scheduler=executor.get) == 8
        assert executor.compute(call, optimize_graph=False).result(TIMEOUT) == 8
        assert [future.result(TIMEOUT) for future in executor.compute([call, call])] == [8, 8]
        assert executor.compute([call], sync=True, priority=3) == [8]
        with pytest.raises(CallError, match="expected a collection of Dask"):
            executor.compute(8)


def test_an_initializer_runs_for_graphs_too(tmp_path: Path) -> None:
    with Executor(
        1, backend="processes", initializer=initialise, initargs=(str(tmp_path), "graph")
    ) as executor:
        assert executor.get({"x": (state, 1)}, "x")[1] == "graph"


def test_shutdown_waits_for_a_graph_that_another_thread_computes(tmp_path: Path) -> None:
    """The engine is the executor's own, and is not closed meanwhile."""
    door, values = tmp_path / "door", list[Any]()
    executor = Executor(3, backend="processes")
    graph = {"x": (wait_in_process, str(door)), "y": (bool, "x")}
    thread = threading.Thread(target=lambda: values.append(executor.get(graph, "y")))
    thread.start()
    wait_until(lambda: list(tmp_path.iterdir()), "the graph begins")
    executor.shutdown(wait=False)
    door.touch()
    executor.shutdown()
    thread.join(TIMEOUT)
    assert values == [True]


def test_methods_raise_runtime_error_after_shutdown() -> None:
    executor = Executor(backend="threads")
    executor.shutdown()
    for attempt in (
        lambda: executor.scatter(1),
        lambda: executor.get({}, []),
        lambda: executor.compute(dask.delayed(1)),
        executor.restart,
        lambda: executor.upload_file(__file__),
    ):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            attempt()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "cluster"])
def test_restart_ends_processes_and_cancels_calls(
    backend: str, cluster: LocalCluster, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    with Executor(
        1,
        backend=cluster.backend if backend == "cluster" else backend,
        initializer=initialise,
        initargs=(str(tmp_path), "started"),
    ) as executor:
        before, _ = executor.submit(state).result(TIMEOUT)
        running = executor.submit(wait_in_process, str(door))
        waiting = executor.submit(double, 1)
        wait_until(lambda: Path(f"{door}.{before}").exists(), "the call begins")
        executor.restart()
        assert running.cancelled()
        assert waiting.cancelled()
        after, name = executor.submit(state).result(TIMEOUT)
        assert after != before
        assert name == "started"


@pytest.mark.slow
@pytest.mark.celery
def test_restart_starts_a_cluster_of_its_own_anew() -> None:
    with Executor(1, backend=CeleryExecutionBackend(local=True, workers=1)) as executor:
        before = executor.submit(os.getppid).result(TIMEOUT)
        executor.restart()
        assert executor.submit(os.getppid).result(TIMEOUT) != before


def test_restart_is_refused_for_workers_that_the_executor_does_not_own(
    cluster: LocalCluster,
) -> None:
    with Executor(backend="threads") as executor:
        future = executor.submit(double, 1)
        with pytest.raises(BackendError, match="no worker processes of its own"):
            executor.restart()
        assert future.result(TIMEOUT) == 2
    with (
        Executor(cluster.broker_url) as executor,
        pytest.raises(BackendError, match="started elsewhere"),
    ):
        executor.restart()
    with (
        Executor(5, backend="processes") as executor,
        Executor(5, backend="processes"),
        pytest.raises(BackendError, match="another executor of the same size"),
    ):
        executor.restart()


def test_a_cluster_that_was_closed_is_not_restarted() -> None:
    cluster = LocalCluster(workers=1)
    executor = Executor(backend=cluster.backend)
    with pytest.raises(ClusterStartError, match="has not been started"):
        executor.restart()


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("backend", ["processes", "cluster"])
def test_the_modules_of_a_file_can_be_imported(
    backend: str, cluster: LocalCluster, tmp_path: Path
) -> None:
    """Also those inside the packages of an archive, and for chunks; and as they are now."""
    module = tmp_path / f"uploaded_{backend}.py"
    module.write_text("VALUE = 'first'")
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"{backend}_pack/__init__.py", "VALUE = 'package'")
        file.writestr(f"{backend}_pack/inner/__init__.py", "")
        file.writestr(f"{backend}_pack/inner/deep.py", "VALUE = 'deep'")
    engine: Any = cluster.backend if backend == "cluster" else backend
    with Executor(backend=engine) as executor:
        with pytest.raises(ModuleNotFoundError):
            executor.submit(value_of, module.stem).result(TIMEOUT)
        executor.upload_file(module)
        executor.upload_file(str(archive))
        executor.upload_file(archive)
        assert executor.submit(value_of, module.stem).result(TIMEOUT) == "first"
        names = [f"{backend}_pack", f"{backend}_pack.inner.deep", module.stem]
        assert list(executor.map(value_of, names, chunksize=2)) == ["package", "deep", "first"]
        module.write_text("VALUE = 'second and longer'")
        executor.upload_file(module)
        assert executor.submit(value_of, module.stem).result(TIMEOUT) == "second and longer"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.py", "there is no such file"),
        ("data.csv", "expected a module .* give other data to calls as arguments"),
        ("two-words.py", "expected a module"),
        ("empty.zip", "has no modules"),
        ("json.py", "import json would find a module of Python"),
        ("tests.py", r"import tests would find .*tests/__init__.py; rename the file"),
    ],
)
def test_a_file_that_cannot_be_uploaded_is_named(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "empty.zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("notes.txt", "")
    elif name != "missing.py":
        path.write_text("")
    with Executor(backend="threads") as executor, pytest.raises(OptionError, match=message):
        executor.upload_file(path)
    assert str(tmp_path) not in sys.path
