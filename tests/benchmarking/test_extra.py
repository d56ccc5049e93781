"""What is said where the extra is missing."""

import subprocess
import sys

import pytest

from distribute_challenge.benchmarking.extra import INSTALL, Lazily, benchmarking_extra
from distribute_challenge.errors import BackendError


def test_a_missing_package_is_answered_with_the_line_that_installs_it() -> None:
    with pytest.raises(BackendError) as caught, benchmarking_extra():
        import no_such_package  # type: ignore[import-not-found] # noqa: F401
    assert str(caught.value).splitlines() == [
        "the benchmark needs no_such_package, which is not installed:",
        "pip install docker matplotlib numpy psutil",
    ]


def test_import_errors_other_than_a_missing_package_pass_unchanged() -> None:
    """Installing would not mend it."""
    with pytest.raises(ImportError, match="cannot import name"), benchmarking_extra():
        from math import no_such_name  # type: ignore[attr-defined] # noqa: F401


def test_a_lazily_imported_package_is_looked_for_on_first_use() -> None:
    package = Lazily("no_such_package")
    with pytest.raises(BackendError, match="no_such_package"):
        package.anything  # noqa: B018 # It is the reading that fails.


@pytest.mark.parametrize("missing", ["numpy", "matplotlib"])
def test_modules_that_read_recordings_can_be_imported_without_the_extra(missing: str) -> None:
    """So the command can show its help, and say itself what is missing."""
    code = f"""
import sys
sys.modules[{missing!r}] = None
from distribute_challenge.benchmarking.results import analysis, plots, report, table
try:
    plots.require()
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"the benchmark needs {missing}, which is not installed:\n{INSTALL}\n"
