"""`map` on Dask and Ray, beside what these systems offer."""

import pytest
from click.testing import CliRunner

from benchmarks.faces import engines
from tests.optional import needed


def test_the_table_has_medians_and_how_many_times_as_fast_ours_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = [(5000.0, 100.0), (9000.0, 300.0), (8000.0, 200.0)]
    monkeypatch.setattr(engines, "_measured", lambda name, workers: rates.pop())
    run = CliRunner().invoke(engines.main, ["--only", "engine-dask"])
    assert run.stdout.splitlines()[-1] == (
        "| engine `dask`, beside `client.map` | 8,000 (5,000 to 9,000) | 200 (100 to 300) | 40 × |"
    )


@pytest.mark.slow
def test_a_measurement_runs_in_a_process_of_its_own() -> None:
    needed("distributed")
    run = CliRunner().invoke(engines.main, ["--only", "engine-dask", "--rounds", "1"])
    assert run.exit_code == 0, run.output
    assert run.stdout.splitlines()[-1].startswith("| engine `dask`")
