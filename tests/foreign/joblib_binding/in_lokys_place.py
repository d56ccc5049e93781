"""A pytest plugin that runs joblib's tests on a cluster: starts it, and leaves some tests out."""

import os
from functools import partial
from typing import Any

import pytest
from joblib import testing

from distribute_challenge import LocalCluster, set_default_backend

WORKERS = 4  # Some tests wait until 4 calls run at the same time.
SCRIPT_TIMEOUT = 60  # Seconds.

# Tests that do not run, by the beginning of their name, and why.
LEFT_OUT = {
    "test_effective_n_jobs_None[negative-int": (
        "expects as many slots as this machine has cores; the cluster has four"
    ),
    "test_nested_parallel_warnings[threading-loky": (
        "loky refuses to run below threads, with a warning; our backend runs there"
    ),
    "test_parallel_pickling": "looks for loky's own words; ours name the argument",
    "test_error_capture[loky": (
        "looks at the private pool of the backend, and expects an error to restart its processes"
    ),
    "test_parallel_with_interactively_defined_bound_method_loky": "looks for loky's log lines",
    "test_auto_memmap_on_arrays_from_generator[loky": (
        "expects np.memmap; our arrays lie in shared memory, and are plain"
    ),
    "test_memmapping_leaks[loky": "the same",
    "test_multiple_generator_call_separated_gc[generator-generator-loky": (
        "expects that a dropped generator ends the calls of another Parallel; here they go on"
    ),
    "test_multiple_generator_call_separated_gc[generator-generator_unordered-loky": "the same",
    "test_multiple_generator_call_separated_gc[generator_unordered-generator-loky": "the same",
    "test_multiple_generator_call_separated_gc[generator_unordered-generator_unordered-loky": (
        "the same"
    ),
    "test_backend_batch_statistics_reset[loky": (
        "looks at private attributes; batches are sized by how long calls ran on the worker"
    ),
    "test_globals_update_at_each_parallel_call": (
        "a function inside a function of an installed module sees the globals of the module as the "
        "worker has imported it"
    ),
    "test_initializer_reused[2": (
        "expects as many processes as jobs; the cluster has four, and each may run a job"
    ),
    "test_initializer_not_reused": "expects new processes for each Parallel; ours stay",
    "test_threadpool_limitation_in_child_loky": (
        "expects new processes, too: a library that one has loaded keeps its number of threads"
    ),
    "test_threadpool_limitation_in_child_context[parallel_config-2-None": "the same",
    "test_threadpool_limitation_in_child_context[parallel_config--1-None": "the same",
    "test_threadpool_limitation_in_child_context[parallel_backend-2-None": "the same",
    "test_threadpool_limitation_in_child_context[parallel_backend--1-None": "the same",
}

_cluster = LocalCluster(WORKERS, logs=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--half", type=int, choices=[0, 1], help="run every other test only")


def pytest_configure() -> None:
    _cluster.start()
    set_default_backend(_cluster.backend)
    # Scripts that tests start.
    os.environ["CELERY_BROKER_URL"] = _cluster.broker_url
    testing.check_subprocess_call = partial(_patiently, testing.check_subprocess_call)


def pytest_unconfigure() -> None:
    set_default_backend(None)
    _cluster.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unknown = [name for name in LEFT_OUT if not any(item.name.startswith(name) for item in items)]
    if unknown:
        raise pytest.UsageError(f"no such tests: {unknown}")
    kept = [
        item
        for item in items
        if not (item.name.startswith(tuple(LEFT_OUT)) or _is_of_another(item))
    ]
    half = config.getoption("--half")
    items[:] = kept if half is None else kept[half::2]


def _patiently(check: Any, *arguments: Any, **options: Any) -> Any:
    """Give a script of a test more than ten seconds, which it may need on a busy machine."""
    return check(*arguments, **{**options, "timeout": SCRIPT_TIMEOUT})


def _is_of_another(item: Any) -> bool:
    """Whether a test is about joblib's backend of `multiprocessing`, or a context for it."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(
        value in ("multiprocessing", "spawn")
        or type(value).__name__ in ("MultiprocessingBackend", "SpawnContext")
        for value in parameters
    )
