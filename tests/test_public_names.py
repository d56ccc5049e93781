"""What `import distribute_challenge` gives, and what it costs."""

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from typing import Any

import pytest

import distribute_challenge

MODULES = [
    module.name
    for module in pkgutil.walk_packages(distribute_challenge.__path__, "distribute_challenge.")
    if not module.name.endswith("__main__")
]


def fresh(program: str, **variables: str) -> Any:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_public_name_is_there() -> None:
    """The package finds each where it is used first."""
    for name in distribute_challenge.__all__:
        assert getattr(distribute_challenge, name).__name__ == name


def test_the_names_in_all_are_the_names_exposed() -> None:
    """The table of places has neither more nor fewer."""
    assert sorted(distribute_challenge._PLACES) == sorted(
        [*distribute_challenge.__all__, "__version__"]
    )
    assert set(distribute_challenge.__all__) <= set(dir(distribute_challenge))


def test_names_of_the_previous_version_still_exist() -> None:
    """They were there before this version."""
    assert distribute_challenge.execution_backends.local.LocalExecutionBackend
    assert callable(distribute_challenge.execution_backends.default_backend)
    assert callable(distribute_challenge.compute_this)
    call = distribute_challenge.Distributable(pow, (2, 3), {})
    assert call.compute(backend="local") == 8


def test_submodules_are_available_without_an_import() -> None:
    """`distribute_challenge.errors` is just there."""
    program = (
        "import json, distribute_challenge as d; print(json.dumps(d.errors.CallError.__name__))"
    )
    assert fresh(program) == "CallError"


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """The error has Python's own words."""
    with pytest.raises(
        AttributeError, match="module 'distribute_challenge' has no attribute 'nothing'"
    ):
        _ = distribute_challenge.nothing


def test_a_broken_import_inside_a_submodule_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named, not the submodule."""
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    for name in [name for name in sys.modules if name.startswith("distribute_challenge.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("serialisation", "tasks"):
        monkeypatch.delattr(distribute_challenge, name, raising=False)
    with pytest.raises(ModuleNotFoundError, match="cloudpickle"):
        _ = distribute_challenge.serialisation.tasks


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".") == 1])
def test_every_name_in_all_of_a_module_exists(name: str) -> None:
    """`__all__` names nothing that is not there."""
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public)


def test_an_import_loads_nothing_heavy_and_starts_nothing() -> None:
    """It loads no Celery, Redis or plotting, and starts no thread, child or file."""
    program = """
import json, os, sys, threading
HEAVY = ["celery", "cloudpickle", "fsspec", "kombu", "loky", "matplotlib", "numpy", "redis", "tqdm", "xxhash"]
before = set(os.listdir("/proc/self/fd"))
import distribute_challenge
print(json.dumps({
    "heavy": sorted(set(HEAVY) & set(sys.modules)),
    "threads": threading.active_count(),
    "files": sorted(set(os.listdir("/proc/self/fd")) - before),
    "own": sorted(name for name in sys.modules if name.startswith("distribute_challenge")),
}))
"""
    assert fresh(program) == {
        "heavy": [],
        "threads": 1,
        "files": [],
        "own": ["distribute_challenge", "distribute_challenge.lazy_names"],
    }


def test_decorating_a_function_loads_nothing_heavy_either() -> None:
    """A program that only decorates and calls locally loads no engine."""
    program = """
import json, sys, threading
from distribute_challenge import compute_this
value = compute_this(lambda x: x * x, backend="local")(3).compute()
heavy = {"celery", "fsspec", "kombu", "loky", "matplotlib", "numpy", "redis", "tqdm", "xxhash"} & set(sys.modules)
print(json.dumps([value, sorted(heavy), threading.active_count()]))
"""
    assert fresh(program) == [9, [], 1]


@pytest.mark.slow
def test_an_import_reads_no_environment() -> None:
    """A wrong value is no reason to fail before anything is asked for."""
    program = "import json, distribute_challenge.settings; print(json.dumps('fine'))"
    assert (
        fresh(program, DISTRIBUTE_CHALLENGE_WORKERS="wrong", DISTRIBUTE_CHALLENGE_BACKEND="wrong")
        == "fine"
    )
