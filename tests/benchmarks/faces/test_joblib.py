"""joblib on this library, beside joblib on loky."""

import pytest
from click.testing import CliRunner

from benchmarks.faces import joblib
from tests.optional import needed

needed("joblib")


def test_the_table_has_medians_and_what_ours_takes_relative_to_loky(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = {"loky": [2.0, 4.0, 3.0], "distribute_challenge": [6.0, 1.0, 5.0]}
    monkeypatch.setattr(joblib, "_measured", lambda name, backend, _: seconds[backend].pop())
    run = CliRunner().invoke(joblib.main, ["--only", "roots"])
    assert run.stdout.splitlines()[-1] == (
        "| 100,000 × `sqrt` | 3.00 s (2.00 to 4.00) | 5.00 s (1.00 to 6.00) | 1.67 |"
    )


@pytest.mark.celery
@pytest.mark.slow
def test_each_measurement_runs_in_a_process_of_its_own() -> None:
    run = CliRunner().invoke(joblib.main, ["--only", "roots", "--rounds", "1"])
    assert run.exit_code == 0, run.output
    assert run.stdout.count(" s (") == 2
