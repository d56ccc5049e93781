"""Engines by name."""

import os
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from distribute_challenge import (
    available_backends,
    compute_this,
    default_backend,
    set_default_backend,
    use_backend,
)
from distribute_challenge.errors import BackendError, OptionError
from distribute_challenge.execution_backends import registry
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.execution_backends.run_adapter import RunAdapter


class OnlyRun:
    def run(self, serialised_func: bytes, args: Any, kwargs: Any) -> Any:
        return "ran"


@compute_this
def one() -> int:
    return 1


def test_the_built_in_backends_have_names() -> None:
    """They are in alphabetical order."""
    assert {"celery", "local", "processes", "threads"} <= set(available_backends())
    assert available_backends() == sorted(available_backends())


def test_a_name_gives_one_engine_for_the_whole_process() -> None:
    """It does so when many threads ask at once, too."""
    registry.close_backends()
    barrier = threading.Barrier(8)
    found: list[Any] = []

    def ask() -> None:
        barrier.wait(60)
        found.append(registry.resolve("threads"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
    assert isinstance(found[0], ThreadsExecutionBackend)


def test_the_innermost_choice_of_a_backend_takes_precedence(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Call, function, block, process, environment."""
    names = {"call": "threads", "function": "local"}
    assert registry.resolve(names["call"], names["function"]) is registry.resolve("threads")
    assert registry.resolve(None, names["function"]) is registry.resolve("local")
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_BACKEND", "local")
    assert isinstance(default_backend(), LocalExecutionBackend)
    set_default_backend("threads")
    assert isinstance(default_backend(), ThreadsExecutionBackend)
    with use_backend("local"):
        assert isinstance(default_backend(), LocalExecutionBackend)
        with use_backend("threads"):
            assert isinstance(default_backend(), ThreadsExecutionBackend)
        assert isinstance(default_backend(), LocalExecutionBackend)
    assert isinstance(default_backend(), ThreadsExecutionBackend)
    set_default_backend(None)
    assert isinstance(default_backend(), LocalExecutionBackend)


def test_use_backend_applies_only_to_its_own_thread(clean_environment: pytest.MonkeyPatch) -> None:
    """Others are not surprised."""
    set_default_backend("threads")
    seen: list[Any] = []
    with use_backend("local"):
        thread = threading.Thread(target=lambda: seen.append(default_backend()))
        thread.start()
        thread.join(60)
    assert isinstance(seen[0], ThreadsExecutionBackend)


def test_a_backend_object_is_used_as_it_is_and_an_object_with_run_is_adapted() -> None:
    """A backend as it is, anything with `run` through an adapter."""
    backend = LocalExecutionBackend()
    assert registry.resolve(backend) is backend
    assert isinstance(registry.resolve(OnlyRun()), RunAdapter)
    assert one().compute(OnlyRun()) == "ran"
    with use_backend(OnlyRun()):
        assert one().compute() == "ran"


@pytest.mark.parametrize(
    "choose", [set_default_backend, registry.resolve, lambda name: use_backend(name).__enter__()]
)
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(choose: Any) -> None:
    """A typing error is seen at once."""
    with pytest.raises(
        BackendError, match=r"no backend is called 'thread'; there are .*local.*threads"
    ):
        choose("thread")


@pytest.mark.parametrize(
    "choose", [set_default_backend, registry.resolve, lambda name: use_backend(name).__enter__()]
)
def test_an_object_that_is_no_backend_is_answered_with_what_one_is(choose: Any) -> None:
    """The error names the method that it lacks."""
    with pytest.raises(
        BackendError, match=r"3 is no backend: .*method run\(serialised_func, args, kwargs\)"
    ):
        choose(3)


def points(monkeypatch: pytest.MonkeyPatch, value: str, dist: Any = None) -> None:
    point = EntryPoint("mine", value, registry.ENTRY_POINTS)
    if dist is not None:
        vars(point).update(dist=dist)
    monkeypatch.setattr(registry, "_installed", lambda: [point])


def test_another_package_can_bring_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its own name. A call inside a call goes to it, too."""
    points(monkeypatch, f"{LocalExecutionBackend.__module__}:LocalExecutionBackend")
    assert "mine" in available_backends()
    try:
        assert one().compute("mine") == 1
        assert compute_this(lambda: one().compute("mine"))().compute("local") == 1
    finally:
        registry._engines.pop("mine", None)


class Distribution:
    name = "some-package"


@pytest.mark.parametrize(
    ("dist", "package"), [(Distribution(), "some-package"), (None, "no_such_module:Engine")]
)
def test_the_error_for_a_missing_package_has_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, dist: Any, package: str
) -> None:
    """The error names the package, and what it lacks."""
    points(monkeypatch, "no_such_module:Engine", dist)
    with pytest.raises(
        BackendError, match=f"needs no_such_module, .*pip install '{package}\\[mine\\]'"
    ):
        one().compute("mine")


def test_an_engine_that_cannot_be_loaded_is_not_named_as_one_that_keeps_an_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points(monkeypatch, "no_such_module:Engine")
    with pytest.raises(
        OptionError, match=r"'OnlyRun' does not keep queue='gpu'; 'celery' and 'local' do\."
    ):
        compute_this(abs, queue="gpu")(-1).compute(OnlyRun())


def test_inside_a_call_every_built_in_name_means_the_local_backend() -> None:
    """Waiting for another worker could wait for ever."""
    call = compute_this(
        lambda: [type(registry.resolve(name)).__name__ for name in ("celery", "processes", None)]
    )()
    assert call.compute("local") == ["LocalExecutionBackend"] * 3


def test_a_closed_engine_is_made_anew_by_the_next_call() -> None:
    """The user does not have to open it again."""
    before = registry.resolve("threads")
    registry.close_backends()
    assert one().compute("threads") == 1
    assert registry.resolve("threads") is not before


def test_after_a_fork_the_child_makes_engines_of_its_own() -> None:
    """Its parent's threads do not exist there."""
    program = """
import os
from distribute_challenge import compute_this
double = compute_this(lambda x: 2 * x, backend="threads")
double(1).compute()
child = os.fork()
if child == 0:
    os._exit(double(2).compute(timeout=60))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.stdout == "4\n", done.stderr
