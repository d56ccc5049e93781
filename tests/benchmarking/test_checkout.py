"""The former names of commands that are in a checkout alone."""

import sys
from pathlib import Path

import pytest

from distribute_challenge.benchmarking import checkout
from distribute_challenge.benchmarking.checkout import run_from_checkout
from tests.docker_engine import CHECKOUT
from tests.processes import program


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chaos", "soak"])
def test_a_former_name_runs_the_command_of_the_checkout(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", f"distribute_challenge.benchmarking.{name}", "--help"]
    with program(command, tmp_path, PYTHONPATH=str(CHECKOUT)) as running:
        assert running.wait() == 0, running.output
    assert running.output.startswith(f"Usage: python -m benchmarks.{name} [OPTIONS]\n")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the library is installed, and its checkout cannot be imported from."""
    monkeypatch.setattr(
        sys, "path", [path for path in sys.path if not Path(path, "benchmarks").exists()]
    )
    # Only Python's own finders, which are classes.
    monkeypatch.setattr(
        sys, "meta_path", [finder for finder in sys.meta_path if isinstance(finder, type)]
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)

    def fail(name: str) -> None:
        pytest.fail(f"it has found {name}, and would run it")

    monkeypatch.setattr(checkout, "import_module", fail)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("another", [False, True], ids=["none", "of another project"])
def test_a_former_command_name_without_a_checkout_says_where_the_command_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another: bool
) -> None:
    """Also where another project has a package called `benchmarks`."""
    if another:
        (tmp_path / "benchmarks").mkdir()
        (tmp_path / "benchmarks" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_from_checkout("chaos")
    assert str(ended.value).splitlines()[1:] == [
        'pip install -e ".[benchmarking]"',
        "python -m benchmarks.chaos --help",
    ]
