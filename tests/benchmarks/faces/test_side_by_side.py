"""The library behind other interfaces, beside what these run on otherwise."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from benchmarks.faces import dask, executor
from benchmarks.faces.side_by_side import SideBySide
from tests.optional import needed

needed("dask")


def test_the_table_has_medians_and_what_others_take_relative_to_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {
        "distribute_challenge": [2.0, 4.0, 3.0],
        "ProcessPoolExecutor": [6.0, 12.0, 9.0],
    }
    monkeypatch.setattr(
        SideBySide, "_measured", lambda self, name, system, *_: seconds[system].pop()
    )
    run = CliRunner().invoke(executor.main, [])
    assert run.stdout.splitlines()[2:] == [
        "| `submit` of 10,000 calls | distribute_challenge | 3.00 s (2.00 to 4.00) | 1.00 |",
        "| `submit` of 10,000 calls | ProcessPoolExecutor | 9.00 s (6.00 to 12.00) | 3.00 |",
    ]


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "name"), [(executor.main, "submit"), (dask.main, "dot"), (dask.main, "group_by")]
)
def test_each_measurement_runs_in_a_process_of_its_own(
    command: click.Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's own cluster is left out, as not every machine has it."""
    if name == "group_by":
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
    if command is dask.main:
        few: Any = dask.MEASUREMENTS[name]._replace(systems=dask.SYSTEMS[:2])
        monkeypatch.setitem(dask.MEASUREMENTS, name, few)
    run = CliRunner().invoke(command, ["--only", name, "--rounds", "1", "--scale", "0.001"])
    assert run.exit_code == 0, run.output
    assert run.stdout.count(", scaled by 0.001 | ") == 2
