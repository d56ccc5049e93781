"""A backend that another package brings: found by its entry point, used by its name."""

import os
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PACKAGE = Path(__file__).parent / "package"

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a script where the package is installed, with the metadata that pip would write."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.3\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def run_script(script: str) -> "subprocess.CompletedProcess[str]":
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(script))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE)])}
        return subprocess.run(
            [sys.executable, str(path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_script


def test_an_installed_backend_is_listed_with_the_built_in_ones(run: Run) -> None:
    script = run("""
        import distribute_challenge
        print(distribute_challenge.available_backends())
    """)
    assert (
        script.stdout == "['celery', 'dask', 'fresh', 'local', 'processes', 'ray', 'threads']\n"
    ), script.stderr


def test_an_installed_backend_runs_calls_by_its_name(run: Run) -> None:
    script = run("""
        import os
        from distribute_challenge import compute_this

        client = os.getpid()

        @compute_this(backend="fresh")
        def somewhere_else(x):
            print("printed by the call")
            return x * x, os.getpid() != client

        print(somewhere_else(3).compute())
        print(list(somewhere_else.map(range(4))))
    """)
    assert script.stdout == "(9, True)\n[(0, True), (1, True), (4, True), (9, True)]\n", (
        script.stderr
    )
    assert "printed by the call" in script.stderr


def test_an_exception_of_a_call_keeps_its_type(run: Run) -> None:
    script = run("""
        from distribute_challenge import compute_this, use_backend

        with use_backend("fresh"):
            try:
                compute_this(lambda: {}["missing"])().compute()
            except KeyError as error:
                print(repr(error))
    """)
    assert script.stdout == "KeyError('missing')\n", script.stderr


def test_a_process_that_dies_fails_its_own_call(run: Run) -> None:
    script = run("""
        import os
        from distribute_challenge import compute_this
        from distribute_challenge.errors import WorkerLostError

        @compute_this(backend="fresh")
        def leave(code):
            os._exit(code)

        for options in ({}, {"at_most_once": True}):
            try:
                leave.with_options(**options)(3).compute()
            except WorkerLostError as error:
                print(str(error).splitlines()[0][:80], len(error.attempts))
    """)
    assert script.stdout.splitlines() == [
        "leave(3): its process ended with exit code 3. That happened 3 times in 3 attempt 3",
        "leave(3): its process ended with exit code 3. It may have run, and at_most_once= 1",
    ], script.stderr


def test_an_option_that_the_backend_does_not_honour_is_refused(run: Run) -> None:
    script = run("""
        from distribute_challenge import compute_this
        from distribute_challenge.errors import OptionError

        try:
            compute_this(abs, backend="fresh", priority=1)(-1).compute()
        except OptionError as error:
            print(error)
    """)
    assert script.stdout.startswith(
        "the backend 'fresh' does not keep priority=1; 'celery', 'dask', 'local', 'processes' and "
        "'threads' do."
    ), script.stderr


def test_a_missing_import_answers_with_the_line_to_type(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fresh_interpreter.py").write_text("import no_such_module\n")
    script = run("""
        from distribute_challenge import compute_this
        from distribute_challenge.errors import BackendError

        try:
            compute_this(abs, backend="fresh")(-1).compute()
        except BackendError as error:
            print(error)
    """)
    assert (
        "needs no_such_module, which is not installed: pip install 'fresh-interpreter[fresh]'"
        in script.stdout
    )
