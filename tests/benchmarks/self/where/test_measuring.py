"""Real calls, few of them, on real workers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.self.where.catalogue import CATALOGUE, figure_of
from benchmarks.self.where.stages import SPANS, STAGES

pytestmark = [pytest.mark.celery, pytest.mark.slow]

TOP = Path(__file__).parents[4]
PROGRAM = """
import sys
from benchmarks.self.where import measuring, session

measuring.ROUND_TRIPS = measuring.SUBMITTED = measuring.MAPPED = 50
measuring.WARM_UP = measuring.WARM_UP_OF_MANY = 5
session.main(sys.argv[1], 1)
"""


def measured(name: str) -> dict[str, float]:
    """In a process of its own: marks cannot be undone."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], cwd=TOP, stdout=subprocess.PIPE, check=True
    )
    values: dict[str, float] = json.loads(done.stdout)
    assert all(figure_of(key).title for key in values)
    assert values[f"{name}.whole"] > 0
    assert values[f"{name}.command.lpush.calls"] > 0
    assert values[f"{name}.redis.received"] > 0
    assert values[f"{name}.process.main.waits"] > 0
    return values


def test_a_round_trip_has_all_stages_in_all_processes() -> None:
    values = measured("round_trip")
    assert all(values[f"round_trip.stage.{stage.name}.wall"] > 0 for stage in STAGES)
    assert all(values[f"round_trip.span.{span.name}.cpu"] > 0 for span in SPANS)
    typical = sum(values[f"round_trip.stage.{stage.name}.typical"] for stage in STAGES)
    assert typical > 0
    # On a machine that is busy, a call may take another way.
    assert 0 < values["round_trip.marked"] <= 1


@pytest.mark.parametrize("name", [name for name in CATALOGUE if name != "round_trip"])
def test_many_calls_have_costs_alone(name: str) -> None:
    assert not any(".stage." in key for key in measured(name))
