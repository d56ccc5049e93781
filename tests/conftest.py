"""Fixtures that several test files share."""

import gc
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.execution_backends import registry
from distribute_challenge.execution_backends.registry import close_backends
from distribute_challenge.execution_backends.sized import close_unused
from tests import docker_engine
from tests.cluster_names import cluster_of
from tests.elsewhere import Client
from tests.measuring import measure_only_what_runs
from tests.secret import SECRET


def pytest_collection_finish() -> None:
    """What collecting the tests has made lives as long as they do: the garbage collector leaves it."""
    gc.freeze()
    measure_only_what_runs()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without Docker, skip tests with containers before any fixture is made; in CI, fail them."""
    if (
        item.get_closest_marker("docker") is None
        or (missing := docker_engine.what_is_missing()) is None
    ):
        return
    if docker_engine.in_ci():
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests on a cluster of Dask or Ray to one process, which then starts one of each."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.scheduling import ClusterScheduling  # pytest-xdist need not be there.

    return ClusterScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, None, None]:
    """End the clusters of Dask and Ray with the file that has started them.

    Idle ones take time, too. They stay if the next test runs on one of the same kind.
    """
    yield
    if nextitem is not None and (
        nextitem.path == item.path
        or cluster_of(nextitem.nodeid) == cluster_of(item.nodeid) is not None
    ):
        return
    if (started := sys.modules.get("tests.clusters")) is not None:
        started.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make captured output Unicode: pytest-xdist, which sends reports, would end otherwise."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True, scope="session")
def secret() -> Iterator[None]:
    """Clients and workers of the tests' own clusters share a secret."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_SECRET", SECRET)
        yield


@pytest.fixture(autouse=True, scope="session")
def patience() -> Iterator[None]:
    """Workers of embedded clusters may end by themselves, so that coverage saves its data."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", "10")
        yield


@pytest.fixture(autouse=True, scope="session")
def engines() -> Iterator[None]:
    """Engines made by name end with the tests, and not with this process, which may be later than
    coverage joins the data of all processes.
    """
    yield
    close_backends()
    close_unused()


@pytest.fixture(autouse=True, scope="session")
def root_allowed() -> Iterator[None]:
    """Tests may run as root in a container, and so may the workers that they start."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_ALLOW_ROOT", "1")
        yield


@pytest.fixture(autouse=True, scope="module")
def garbage() -> Iterator[None]:
    """What the tests of a module leave to the garbage collector does not fail tests of another.

    A thread that is stopped while it makes an event loop leaves one that is not closed. What lives
    on, mostly imported modules, is not looked at again: each look would take seconds in the end.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A test that leaves a handler for Ctrl+C behind fails, and not a later interrupted one."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    after = signal.getsignal(signal.SIGINT)
    for number, handler in before:
        signal.signal(number, handler)
    assert after == before[0][1]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No variable of this library is set, no default backend chosen; both are restored afterwards."""
    for name in (
        "BACKEND",
        "BROKER_URL",
        "LOGS",
        "SHARED_FOLDER",
        "STORE",
        "VALUE_CACHE",
        "WORKERS",
    ):
        monkeypatch.delenv(f"DISTRIBUTE_CHALLENGE_{name}", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    before = registry._default
    registry.set_default_backend(None)
    yield monkeypatch
    registry.set_default_backend(before)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that the test starts run without coverage, which takes half of a start: programs
    that are killed save nothing of it, and others do what those of other tests have done.
    """
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="module")
def unmeasured_programs() -> Iterator[None]:
    """As `unmeasured`, for a file of tests; engines made by name end with it, as others are measured."""
    with pytest.MonkeyPatch.context() as context:
        context.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield
    close_backends()


@pytest.fixture
def project(tmp_path: Path) -> Client:
    """A user's project folder, whose scripts run as users run them, and whose calls run elsewhere."""
    return Client(tmp_path / "project")


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds; fail if it does not within a minute.

    As `tests.processes.wait_until` does, to look takes a quarter of a core at most.
    """

    def wait_for(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        pause = threading.Event()
        began = time.thread_time()
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            pause.wait(max(0.005, 3 * (time.thread_time() - began)))
            began = time.thread_time()

    return wait_for
