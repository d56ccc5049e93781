"""The joblib backend `"distribute_challenge"`, as programs use it."""

import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.errors import CallTimeoutError, OptionError, SetupError
from tests.joblib.held import HeldBackend
from tests.optional import needed
from tests.processes import environment

joblib = needed("joblib")

from joblib import Parallel, delayed, parallel_config  # noqa: E402

from distribute_challenge.joblib import DistributeChallengeBackend  # noqa: E402

NAME = "distribute_challenge"
CANCELLED = "processed by the workers have been cancelled"  # joblib's warning.


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2, logs=False) as cluster:
        yield cluster


@pytest.fixture
def on_cluster(cluster: LocalCluster) -> Iterator[None]:
    with parallel_config(NAME, execution_backend=cluster.backend):
        yield


@pytest.fixture
def on_threads() -> Iterator[None]:
    with parallel_config(NAME, execution_backend="threads"):
        yield


def divide(x: int, y: int) -> float:
    return x / y


def fail_or_wait(number: int, path: str) -> None:
    if number == 0:
        raise ValueError("no luck")
    while not os.path.exists(path):
        time.sleep(0.01)


def inner(number: int, **options: Any) -> tuple[str, list[float]]:
    parallel = Parallel(n_jobs=2, **options)
    values = parallel(delayed(sqrt)(number) for _ in range(3))
    return type(parallel._backend).__name__, values


class Unpicklable:
    def __reduce__(self) -> Any:
        raise RuntimeError("not this one")


@pytest.mark.usefixtures("on_threads")
@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_parallel_returns_all_values(return_as: str) -> None:
    values = Parallel(return_as=return_as)(delayed(sqrt)(i * i) for i in range(300))
    assert sorted(values) == list(range(300))


@pytest.mark.usefixtures("on_threads")
def test_a_future_in_the_arguments_stands_for_its_value() -> None:
    four = compute_this(abs, backend="threads")(-4).submit()
    assert Parallel()(delayed(divide)(four, number) for number in (1, 2)) == [4, 2]


@pytest.mark.parametrize(
    ("slots", "n_jobs", "effective"),
    [
        (4, -1, 4),
        (4, None, 4),
        (4, -2, 3),
        (4, -9, 2),
        (4, 1, 1),
        (4, 3, 3),
        (4, 100, 100),
        (1, -1, 2),
        (0, -1, 1),
        (0, 5, 1),
    ],
)
def test_the_number_of_jobs_follows_the_slots_of_the_cluster(
    slots: int, n_jobs: int | None, effective: int
) -> None:
    """It is 1, which means in this process, only if the program says so or the engine is here."""
    with parallel_config(NAME, n_jobs=n_jobs, execution_backend=HeldBackend(slots)):
        assert joblib.effective_n_jobs(n_jobs) == effective


def test_a_single_job_runs_in_the_calling_process_and_starts_no_cluster() -> None:
    with parallel_config(NAME, n_jobs=1, execution_backend="no such backend"):
        assert Parallel()(delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2


def test_zero_jobs_are_refused() -> None:
    with parallel_config(NAME), pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)([])


def test_n_jobs_limits_the_batches_sent_at_the_same_time() -> None:
    engine = HeldBackend(4)
    with parallel_config(NAME, n_jobs=2, execution_backend=engine):
        results = Parallel(return_as="generator")(delayed(sqrt)(i) for i in range(50))
    assert len(engine.futures) == 2
    with pytest.warns(UserWarning, match=CANCELLED):
        del results
    assert all(future.cancelled() for future in engine.futures)


@pytest.mark.usefixtures("on_threads")
def test_an_exception_keeps_its_type_and_the_traceback_of_the_worker() -> None:
    """joblib drops the traceback of an exception; its cause stays."""
    with pytest.raises(ZeroDivisionError) as caught:
        Parallel()(delayed(divide)(1, number) for number in (1, 0))
    assert "return x / y" in str(caught.value.__cause__)


@pytest.mark.usefixtures("on_threads")
def test_an_unpicklable_argument_in_a_later_batch_ends_the_run() -> None:
    """joblib sends it in the thread of a callback."""
    arguments = [*range(20), Unpicklable()]
    with pytest.raises(pickle.PicklingError, match="not this one") as caught:
        Parallel(batch_size=1)(delayed(repr)(argument) for argument in arguments)
    assert caught.value.__cause__ is None or "not this one" in str(caught.value.__cause__)


@pytest.mark.usefixtures("on_threads")
def test_an_error_of_the_library_has_no_workers_traceback(tmp_path: Path) -> None:
    with parallel_config(NAME, execution_backend="threads", timeout=0.1):
        parallel = Parallel()
    with pytest.raises(CallTimeoutError) as caught:
        parallel(delayed(fail_or_wait)(number, str(tmp_path / "never")) for number in (1, 2))
    assert caught.value.__cause__ is None


def test_options_are_checked_like_those_of_compute_this() -> None:
    with pytest.raises(OptionError, match="'memory' is no option"):
        parallel_config(NAME, memory=1)
    with pytest.raises(OptionError, match="retries=-1"):
        DistributeChallengeBackend(retries=-1)
    with pytest.raises(OptionError, match="queue"):
        Parallel(2, NAME, execution_backend="threads", queue="gpu")([delayed(abs)(1)])


@pytest.mark.parametrize("most", [0, 1.5])
def test_a_limit_of_threads_is_a_number(most: Any) -> None:
    parallel = Parallel(2, DistributeChallengeBackend(None, most, execution_backend=HeldBackend()))
    with pytest.raises(OptionError, match=f"inner_max_num_threads={most}: expected"):
        parallel([delayed(abs)(1)])


@pytest.mark.usefixtures("on_threads")
def test_a_call_that_takes_too_long_ends_the_run(tmp_path: Path) -> None:
    """`timeout=` of `Parallel` is joblib's own; the calls are stopped."""
    door = tmp_path / "never"
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.1)(delayed(fail_or_wait)(number, str(door)) for number in (1, 2))
    assert Parallel()(delayed(abs)(-number) for number in range(5)) == [0, 1, 2, 3, 4]


def test_aborting_one_parallel_leaves_the_calls_of_another_alone() -> None:
    """They share the backend of the block."""
    engine = HeldBackend()
    with parallel_config(NAME, execution_backend=engine):
        first, second = (Parallel(return_as="generator")([delayed(abs)(1)] * 2) for _ in range(2))
    mine, others = engine.futures[:2], engine.futures[2:]
    with pytest.warns(UserWarning, match=CANCELLED):
        del first
    assert all(future.cancelled() for future in mine)
    assert not any(future.done() for future in others)
    for future in others:
        future.resolve([1])
    assert list(second) == [1, 1]


def test_a_parallel_can_be_used_again_after_a_failure() -> None:
    """What it had sent before is cancelled, and is not taken for a part of the next run."""
    engine = HeldBackend()
    backend = DistributeChallengeBackend(execution_backend=engine)
    with Parallel(n_jobs=-1, backend=backend, return_as="generator") as parallel:
        results = parallel([delayed(abs)(1)] * 3)
        engine.futures[0].fail(ValueError("no luck"))
        with pytest.raises(ValueError, match="no luck"):
            next(results)
        assert all(future.cancelled() for future in engine.futures[1:])
        results = parallel([delayed(abs)(2)] * 3)
        for future in engine.futures[3:]:
            future.resolve([2])
        assert list(results) == [2, 2, 2]


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
class TestOnWorkers:
    def test_calls_run_on_workers_that_survive_an_abort(self, tmp_path: Path) -> None:
        def workers() -> set[int]:
            return set(Parallel()(delayed(os.getppid)() for _ in range(20)))

        before = workers()
        assert os.getppid() not in before
        with pytest.raises(ValueError, match="no luck"):
            Parallel()(delayed(fail_or_wait)(i, str(tmp_path / "never")) for i in range(6))
        assert workers() == before

    def test_a_parallel_inside_a_call_runs_in_its_process(self) -> None:
        """By default in threads there, and below them one after the other, as with loky."""
        roots = [1.0, 1.0, 1.0]
        assert Parallel()([delayed(inner)(1)] * 2) == [("ThreadingBackend", roots)] * 2
        named = Parallel()(delayed(inner)(1, backend=NAME) for _ in range(2))
        assert named == [("SequentialBackend", roots)] * 2

    def test_a_limit_of_threads_holds_on_workers(self, cluster: LocalCluster) -> None:
        needed("numpy")
        needed("threadpoolctl")
        with parallel_config(NAME, inner_max_num_threads=3, execution_backend=cluster.backend):
            limits = Parallel()(delayed(threads_of_numpy)() for _ in range(2))
        assert limits == [("3", [3])] * 2

    def test_variables_set_after_the_start_apply_to_workers_of_this_machine(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "5")
        assert Parallel()([delayed(os.getenv)("OMP_NUM_THREADS")] * 2) == ["5", "5"]

    def test_an_initializer_runs_once_in_each_process(
        self, cluster: LocalCluster, tmp_path: Path
    ) -> None:
        """It is given to `parallel_config`, or to `Parallel`, which may be called twice."""
        path = str(tmp_path / "in config")
        with parallel_config(
            NAME, execution_backend=cluster.backend, initializer=note_process, initargs=(path,)
        ):
            for _ in range(2):
                processes = Parallel()(delayed(os.getpid)() for _ in range(50))
                assert set(processes) <= set(noted(path))
        assert len(noted(path)) == len(set(noted(path)))
        path = str(tmp_path / "in Parallel")
        parallel = Parallel(initializer=note_process, initargs=(path,))
        for _ in range(2):
            assert set(parallel(delayed(os.getpid)() for _ in range(50))) <= set(noted(path))
        assert len(noted(path)) == len(set(noted(path)))

    def test_an_initializer_that_fails_is_named(self, cluster: LocalCluster) -> None:
        parallel = Parallel(initializer=note_process, initargs=("/missing/file",))
        with pytest.raises(SetupError, match="note_process, which has to run once") as caught:
            parallel(delayed(os.getpid)() for _ in range(5))
        assert isinstance(caught.value.__cause__, FileNotFoundError)

    def test_setup_and_initializer_together_are_refused(self) -> None:
        with pytest.raises(OptionError, match="got setup and initializer, which are the same"):
            Parallel(setup=os.getpid, initializer=os.getpid)([delayed(os.getpid)()] * 2)


def threads_of_numpy() -> tuple[str | None, list[int]]:
    import numpy
    import threadpoolctl

    numpy.dot(numpy.ones((2, 2)), numpy.ones((2, 2)))
    pools = threadpoolctl.threadpool_info()
    return os.environ.get("OMP_NUM_THREADS"), sorted({pool["num_threads"] for pool in pools})


def note_process(path: str) -> None:
    with open(path, "a") as file:
        file.write(f"{os.getpid()} ")


def noted(path: str) -> list[int]:
    return [int(number) for number in Path(path).read_text().split()]


@pytest.mark.slow
def test_where_joblib_is_missing_the_import_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['joblib'] = None; import distribute_challenge.joblib"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.search(
        r"^ModuleNotFoundError: distribute_challenge\.joblib needs joblib, which is not installed:\n"
        r"pip install 'distribute_challenge\[joblib\]'$",
        run.stderr,
        re.MULTILINE,
    )
