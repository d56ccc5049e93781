"""CPython's own tests of executors, run with `Executor` in the place of `ProcessPoolExecutor`.

They come from the installed Python, from Debian's package ``libpython3.11-testsuite``, or from the
folder that the variable ``CPYTHON_TESTS`` names (``Lib/test`` of CPython's sources). Many builds of
Python lack them. Only the layout of Python 3.11 is known here: one file.

Each test that is left out stands in a table, with the reason.
"""

import concurrent.futures
import importlib
import os
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from distribute_challenge import Executor

FOLDERS = [os.environ.get("CPYTHON_TESTS", ""), "/usr/lib/python3.11/test"]
NAME = "test_concurrent_futures"


def folder_of_tests() -> str | None:
    """Where the tests lie beside those of this Python; None if they do not."""
    return next((folder for folder in FOLDERS if Path(folder, f"{NAME}.py").is_file()), None)


def cpython_tests() -> ModuleType:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the tests of Python 3.11 are bound here", allow_module_level=True)
    tests = pytest.importorskip("test.support", reason="this Python has no package test")
    folder = folder_of_tests()
    package = sys.modules[tests.__name__.partition(".")[0]]
    if folder is not None and folder not in package.__path__:
        package.__path__.append(folder)
    try:
        return importlib.import_module(f"test.{NAME}")
    except ModuleNotFoundError:
        pytest.skip(
            f"this Python lacks test.{NAME}: install libpython3.11-testsuite, or set CPYTHON_TESTS",
            allow_module_level=True,
        )


t: Any = cpython_tests()
pytestmark = [pytest.mark.slow, pytest.mark.celery]

PRIVATE = "looks into private attributes of ProcessPoolExecutor or ThreadPoolExecutor"
OTHER = "tests ProcessPoolExecutor or ThreadPoolExecutor themselves, whatever the executor is"
MEMORY = "its calls change objects of the caller: ours get copies, as in other processes"
CONTEXT = "needs a context of multiprocessing, or max_tasks_per_child, which Executor does not have"
ALONE = "expects that the pool breaks: ours fails this call alone, with the exception itself"
SLOW = "only sleeps longer than another test of the same promise"


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

    class executor_type(Executor):
        pass

    def setUp(self) -> None:
        super().setUp()
        patch = pytest.MonkeyPatch()
        self.addCleanup(patch.undo)
        patch.setattr(t, "assert_python_ok", self.run_script)

    @staticmethod
    def run_script(option: str, script: str) -> Any:
        from test.support.script_helper import assert_python_ok

        folder = folder_of_tests()
        begin = f"import test; test.__path__.append({folder!r})\n" if folder else ""
        ours = script.replace(
            "from concurrent.futures import", "from distribute_challenge import Executor as"
        )
        assert ours != script
        return assert_python_ok(option, begin + ours, DISTRIBUTE_CHALLENGE_BACKEND="threads")


class TestExecutor(t.ExecutorTest, Mixin, unittest.TestCase):
    test_map_chunksize = t.ProcessPoolExecutorTest.test_map_chunksize


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


class TestDeadlock(t.ExecutorDeadlockTest, Mixin, unittest.TestCase):
    pass
