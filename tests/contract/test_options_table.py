"""The documentation's table of the options that each backend keeps."""

from pathlib import Path

import pytest

from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.clusters.dask import DaskExecutionBackend
from distribute_challenge.execution_backends.clusters.ray import RayExecutionBackend
from distribute_challenge.execution_backends.local import LocalExecutionBackend
from distribute_challenge.execution_backends.policy import OPTIONS
from distribute_challenge.execution_backends.pools import (
    ProcessesExecutionBackend,
    ThreadsExecutionBackend,
)
from distribute_challenge.execution_backends.run_adapter import RunAdapter


@pytest.mark.slow
def test_the_documentation_says_which_backend_keeps_which_option() -> None:
    """Its table says so."""
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    table = text.partition("### Which backend keeps which option")[2].split("\n\n")[2].splitlines()
    engines = [cell.strip(" `") for cell in table[0].split("|")[2:-1]]
    assert engines == [
        "celery",
        "processes",
        "threads",
        "local",
        "dask",
        "ray",
        "object with `run",
    ]
    honours = [
        CeleryExecutionBackend.honours,
        ProcessesExecutionBackend.honours,
        ThreadsExecutionBackend.honours,
        LocalExecutionBackend.honours,
        DaskExecutionBackend.honours,
        RayExecutionBackend.honours,
        RunAdapter.honours,
    ]
    said = {}
    for row in table[2:]:
        option, *cells = (cell.strip(" `") for cell in row.split("|")[1:-1])
        said[option] = cells
    assert said == {
        option: ["yes" if option in kept else "refused" for kept in honours]
        for option in map(str, OPTIONS)
    }
