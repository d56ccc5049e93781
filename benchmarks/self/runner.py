"""Runs the measurements in rounds, A B C A B C, each in a process of its own.

So no measurement finds what another one left. A measurement that fails or hangs is reported, and
left out of the later rounds.
"""

import time
from collections.abc import Callable, Sequence

from benchmarks.programs import SessionError, printed_json
from benchmarks.self.measurement import Measurement
from benchmarks.self.results import Results

__all__ = ["SessionError", "run"]


def run(
    measurements: Sequence[Measurement],
    *,
    workers: int,
    rounds: int,
    say: Callable[[str], None],
    ask: "Callable[[Measurement, int], dict[str, float]] | None" = None,
) -> Results:
    """Take all measurements, in rounds.

    Args:
        measurements: Measurements to take, in order.
        workers: Worker processes, where the measurement does not have a number of its own.
        rounds: How often each measurement is taken.
        say: Gets lines of text that tell the user how far the run is.
        ask: Takes one measurement once; the default starts a session for it.

    Returns:
        All raw values, and why there are none where something failed.
    """
    ask = ask or session
    results = Results.of_this_machine(workers=workers, rounds=rounds)
    for number in range(1, rounds + 1):
        for measurement in measurements:
            if measurement.name in results.errors:
                continue
            began = time.monotonic()
            try:
                values = ask(measurement, workers)
                results.add(measurement.figures_of(values), values)
            except SessionError as error:
                results.errors[measurement.name] = str(error)
            failure = results.errors.get(measurement.name)
            took = f"{time.monotonic() - began:.0f} s"
            say(
                f"round {number}, {measurement.name}: "
                f"{took}{f'; FAILED: {failure}' if failure else ''}"
            )
    return results


def session(
    measurement: Measurement, workers: int, *, module: str = "benchmarks.self.session"
) -> dict[str, float]:
    """Take a measurement once, in a process of its own.

    Raises:
        SessionError: The process died, or did not end within the measurement's deadline.
    """
    figures: dict[str, float] = printed_json(
        module, [measurement.name, str(workers)], measurement.deadline
    )
    return figures
