"""A function as bytes for plain pickle."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from distribute_challenge.core.messages import Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.execution.callables import callable_bytes
from distribute_challenge.serialisation import unpack_function
from tests.elsewhere import Client
from tests.execution.batches import payload_of


@pytest.fixture
def function_file(project: Client) -> Path:
    """A file with a project function's bytes, for plain pickle."""
    project.write(helper="VALUE = 7\nclass Flaky(Exception): pass\nclass Count: n = 0")
    project.run("""
        import pathlib, helper
        from distribute_challenge.execution.callables import callable_bytes
        @compute_this(retries=2, retry_on=helper.Flaky, timeout=30)
        async def f(x):
            helper.Count.n += 1
            if helper.Count.n < 3:
                raise helper.Flaky
            inner = compute_this(lambda y: -y)
            return x + helper.VALUE, inner(x).compute(), helper.Count.n
        pathlib.Path("function.pickle").write_bytes(callable_bytes(f(1)._task()))
    """)
    return project.folder / "function.pickle"


@pytest.mark.slow
def test_callable_bytes_are_a_function_for_plain_pickle(function_file: Path) -> None:
    """They load in a process with only this library, keep options, and run inner calls in place."""
    program = (
        "import pickle, sys; f = pickle.load(open(sys.argv[1], 'rb')); print(f.__name__, f(3))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(function_file)],
        cwd=function_file.parents[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "f (10, -3, 3)\n", done.stderr


def test_callable_bytes_use_the_client_s_own_modules_in_its_own_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if the client has not imported all of them yet."""
    payload = payload_of(sees_module)
    others = {module.name for module in unpack_function(payload.payload).modules} - {__name__}
    monkeypatch.delitem(sys.modules, max(others), raising=False)
    task = Task(payload, b"", CallOptions(), 0.0)
    before = list(sys.meta_path)
    assert pickle.loads(callable_bytes(task))() is MARK
    assert sys.meta_path == before


MARK = object()


def sees_module() -> object:
    return MARK
