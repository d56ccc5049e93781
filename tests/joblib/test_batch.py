"""What a batch finds in the process that runs it."""

import os
import sys

import pytest

from distribute_challenge.errors import BackendError, OptionError
from tests.optional import needed

needed("joblib")

from distribute_challenge.joblib import batch as module  # noqa: E402
from distribute_challenge.joblib.batch import Initializer, Surroundings, joblib_batch  # noqa: E402
from tests.joblib.batches import batch_of  # noqa: E402


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process passes for one that exists to run calls."""
    monkeypatch.setattr(module, "is_worker", lambda: True)


def test_errors_show_what_is_in_a_batch() -> None:
    assert repr(batch_of(list)) == "list"
    assert repr(batch_of(list, dict, list)) == "list ×3"


@pytest.mark.usefixtures("worker")
def test_environment_variables_are_set_for_the_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)

    def seen() -> list[str | None]:
        return [os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]

    variables = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "2"}
    assert joblib_batch(Surroundings(variables), batch_of(seen)) == [["1", "2"]]
    assert seen() == ["7", None]


def test_environment_variables_of_the_client_process_are_not_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the backend `threads`, they belong to the whole program."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    surroundings = Surroundings({"OMP_NUM_THREADS": "1"})
    assert joblib_batch(surroundings, batch_of(lambda: os.environ["OMP_NUM_THREADS"])) == ["7"]


@pytest.mark.usefixtures("worker")
def test_threads_of_loaded_libraries_are_limited() -> None:
    numpy, threadpoolctl = needed("numpy"), needed("threadpoolctl")
    numpy.dot(numpy.ones((2, 2)), numpy.ones((2, 2)))

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}

    assert joblib_batch(Surroundings({}, 1), batch_of(threads)) == [{1}]


def test_threads_of_the_client_are_not_limited() -> None:
    with pytest.raises(OptionError, match=r"inner_max_num_threads=1: .* this process"):
        joblib_batch(Surroundings({}, 1), batch_of(list))


@pytest.mark.usefixtures("worker")
def test_a_missing_threadpoolctl_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with pytest.raises(
        BackendError, match=r"inner_max_num_threads=1 .*\npip install threadpoolctl"
    ):
        joblib_batch(Surroundings({}, 1), batch_of(list))


@pytest.mark.usefixtures("worker")
def test_an_initializer_runs_with_the_environment_variables_of_the_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And has the name of its function, for error messages."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    initializer = Initializer(os.getenv, Surroundings({"OMP_NUM_THREADS": "1"}))
    assert initializer("OMP_NUM_THREADS") == "1"
    assert initializer.__name__ == "getenv"
