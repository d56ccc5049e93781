"""CPython's own tests of executors, run with `Executor` in the place of `ProcessPoolExecutor`.

`binding.cpython_tests` says where they come from. Only the layout of Python 3.11 is known here: one
file.

Each test that is left out stands in a table, with the reason.
"""

import gc
import unittest
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from distribute_challenge import Executor
from tests.foreign.binding import cpython_tests, folder_of_tests
from tests.processes import wait_until

NAME = "test_concurrent_futures"

t: Any = cpython_tests(NAME)
pytestmark = [pytest.mark.slow, pytest.mark.celery]

# Why tests are left out.
PRIVATE = "looks into private attributes of the standard library's executors"
ALONE = "expects a broken pool: here one call fails, with the exception itself, and others go on"
EXITS = "a SystemExit of a call arrives as a RemoteError, because it would end the caller's program"

#: Tests of classes that are not bound below at all.
NOT_BOUND = {
    "ThreadPoolShutdownTest": {
        "test_threads_terminate": PRIVATE,
        "test_context_manager_shutdown": "makes a ThreadPoolExecutor itself",
        "test_del_shutdown": "makes a ThreadPoolExecutor itself",
        "test_shutdown_no_wait": "makes a ThreadPoolExecutor itself",
        "test_thread_names_assigned": "makes a ThreadPoolExecutor itself",
        "test_thread_names_default": "makes a ThreadPoolExecutor itself",
    },
    "ProcessPoolShutdownTest": {
        "test_processes_terminate": PRIVATE,
        "test_context_manager_shutdown": "makes a ProcessPoolExecutor itself",
        "test_del_shutdown": "makes a ProcessPoolExecutor itself",
        "test_shutdown_no_wait": "makes a ProcessPoolExecutor itself",
    },
    "ThreadPoolWaitTests": {
        "test_pending_calls_race": "its calls share an Event with the caller, in one process",
    },
    "ThreadPoolExecutorTest": {
        "test_map_submits_without_iteration": "its calls change a list of the caller, in one process",
        "test_default_workers": PRIVATE,
        "test_saturation": PRIVATE,
        "test_idle_thread_reuse": PRIVATE,
        "test_hang_global_shutdown_lock": "makes executors of the standard library itself",
        "test_executor_map_current_future_cancel": "its calls share an Event with the caller",
    },
    "ProcessPoolExecutorTest": {
        "test_max_workers_too_large": "makes a ProcessPoolExecutor itself, on Windows alone",
        "test_killed_child": PRIVATE,
        "test_traceback": "expects a private class as the cause; here the traceback is a real one",
        "test_ressources_gced_in_workers": "needs a context of multiprocessing for its Manager",
        "test_saturation": PRIVATE,
        "test_idle_process_reuse_one": PRIVATE,
        "test_idle_process_reuse_multiple": PRIVATE,
        "test_max_tasks_per_child": "Executor has no max_tasks_per_child",
        "test_max_tasks_per_child_defaults_to_spawn_context": "Executor has no max_tasks_per_child",
        "test_max_tasks_early_shutdown": "Executor has no max_tasks_per_child",
    },
}


def left_out(reason: str, *names: str) -> Callable[[type], type]:
    """Skip tests of a class, with the reason."""

    def skipping(cls: type) -> type:
        for name in names:
            assert hasattr(cls, name), f"{cls.__name__} has no {name}"
            setattr(cls, name, unittest.skip(reason)(getattr(cls, name)))
        return cls

    return skipping


@pytest.fixture(autouse=True, scope="module")
def one_attempt() -> Iterator[None]:
    """A call that kills its process fails at once, as in the standard library."""
    with pytest.MonkeyPatch.context() as context:
        context.setenv("DISTRIBUTE_CHALLENGE_ATTEMPTS", "1")
        context.delenv("CELERY_BROKER_URL", raising=False)
        yield


@pytest.fixture(autouse=True, scope="module")
def quick_collection() -> Iterator[None]:
    """Some tests collect garbage a dozen times: they need not look at what other tests have left."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Mixin(t.ExecutorMixin):
    worker_count = 2
    ours: Any = Executor

    @staticmethod
    def executor_type(*args: Any, mp_context: None = None, **kwargs: Any) -> Executor:
        return Executor(*args, **kwargs)

    def get_context(self) -> None:
        """`ExecutorDeadlockTest` passes one on."""


class Scripts(Mixin):
    """Tests that run a script, which names the executor: ours takes its place there.

    The calls run in threads, as what they print goes to the script's own stream there.
    """

    executor_type = Executor

    def setUp(self) -> None:
        super().setUp()
        patch = pytest.MonkeyPatch()
        self.addCleanup(patch.undo)
        patch.setattr(t, "assert_python_ok", self.run_script)

    @staticmethod
    def run_script(option: str, script: str) -> Any:
        from test.support.script_helper import assert_python_ok

        folder = folder_of_tests(NAME)
        begin = f"import test; test.__path__.append({folder!r})\n" if folder else ""
        ours = script.replace(
            "from concurrent.futures import", "from distribute_challenge import Executor as"
        )
        assert ours != script
        return assert_python_ok(option, begin + ours, DISTRIBUTE_CHALLENGE_BACKEND="threads")


class TestExecutor(t.ExecutorTest, Mixin, unittest.TestCase):
    test_map_chunksize = t.ProcessPoolExecutorTest.test_map_chunksize

    def test_free_reference(self) -> None:
        """The thread that brings a result may let go of it a moment after the caller.

        Python 3.11 does not wait in this test, which later releases do.
        """
        for result in self.executor.map(t.make_dummy_object, range(10)):
            reference = weakref.ref(result)
            del result
            wait_until(lambda reference=reference: reference() is None, "the end of the result")


class TestShutdown(t.ExecutorShutdownTest, Scripts, unittest.TestCase):
    test_cancel_futures_wait_false = t.ThreadPoolShutdownTest.test_cancel_futures_wait_false


class TestWait(t.WaitTests, Mixin, unittest.TestCase):
    pass


class TestAsCompleted(t.AsCompletedTests, Mixin, unittest.TestCase):
    pass


class TestInitializer(t.InitializerMixin, Mixin, unittest.TestCase):
    pass


class TestFailingInitializer(t.FailingInitializerMixin, Mixin, unittest.TestCase):
    pass


@left_out(PRIVATE, "test_shutdown_deadlock_pickle")
@left_out(
    ALONE,
    "test_error_at_task_unpickle",
    "test_error_during_result_unpickle_in_result_handler",
    "test_exit_during_result_unpickle_in_result_handler",
)
@left_out(
    EXITS,
    "test_exit_at_task_unpickle",
    "test_exit_during_func_exec_on_worker",
    "test_exit_during_result_pickle_on_worker",
)
class TestDeadlock(t.ExecutorDeadlockTest, Mixin, unittest.TestCase):
    pass


BOUND = [
    TestExecutor,
    TestShutdown,
    TestWait,
    TestAsCompleted,
    TestInitializer,
    TestFailingInitializer,
    TestDeadlock,
]


def test_each_test_of_an_executor_is_bound_or_left_out_with_a_reason() -> None:
    """A test that a later release of Python adds is noticed here."""
    bound = {name for cls in BOUND for name in dir(cls) if name.startswith("test")}
    for name, cls in vars(t).items():
        if not isinstance(cls, type) or name == "FutureTests":
            continue  # The latter is about futures of the standard library.
        own = {name for name in vars(cls) if name.startswith("test")}
        assert own <= bound | NOT_BOUND.get(name, {}).keys(), name
