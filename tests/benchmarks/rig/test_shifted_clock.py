"""A clock of their own for other programs, which is set while they run."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.rig.shifted_clock import ShiftedClock
from tests.processes import environment

# For each line that it reads, what its clocks show.
PROGRAM = """
import sys, time
for line in sys.stdin:
    print(time.time(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME), time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("inherited", [True, False])
def test_only_the_time_of_day_of_a_program_can_be_set_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inherited: bool
) -> None:
    if inherited:
        monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    else:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    clock = ShiftedClock(tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment(**clock.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for seconds in (0.0, 3600.0, -86_400.0, 0.0):
            clock.set(seconds)
            program.stdin.write("\n")
            program.stdin.flush()
            *times_of_day, monotonic = map(float, program.stdout.readline().split())
            for shown in times_of_day:
                assert abs(shown - time.time() - seconds) < 60
            assert abs(monotonic - time.monotonic()) < 60
        program.communicate()
