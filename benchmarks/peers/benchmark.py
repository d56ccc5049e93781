"""The benchmark as a whole: what it measures, and what is to be reached."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers import measurements as measuring
from benchmarks.peers.catalogue import chosen
from benchmarks.peers.figures import FIGURES
from benchmarks.peers.plan import plan
from benchmarks.peers.targets import NO_PEERS, OWN_MEASUREMENTS, TARGETS
from benchmarks.self import catalogue as own_catalogue
from benchmarks.self import runner as own_runner
from benchmarks.self.measurement import Measurement
from benchmarks.sessions.benchmark import Amount, Benchmark
from benchmarks.sessions.entry import Entry
from benchmarks.sessions.results import Run
from benchmarks.sessions.runs import measured

__all__ = ["BENCHMARK", "SECONDS", "measure"]

SECONDS = 2.0  # How long one measurement lasts, about.
SECONDS_IF_QUICK = 0.1
CHARTED = ("round_trip_p50", "submit_and_gather", "map", "payload")


def measure(
    entries: Sequence[Entry],
    measurements: Sequence[str],
    own: Sequence[Measurement],
    *,
    workers: int,
    rounds: int,
    seconds: float,
    environments: Path | None,
    say: Callable[[str], None],
) -> Run:
    """Measure peers, and figures that only make sense for the library itself.

    Args:
        entries: Peers to measure, in order.
        measurements: What to measure, in order.
        own: Measurements of `benchmarks.self` to take afterwards.
        workers: Worker processes of each peer.
        rounds: How often each peer is measured.
        seconds: How long one measurement should last, in seconds.
        environments: Folder for the environments of peers that need one of their own; None: in the
            user's cache folder.
        say: Gets lines of text that tell the user how far the run is.
    """
    found = measured(
        entries,
        plan(measurements, seconds=seconds),
        workers=workers,
        rounds=rounds,
        say=say,
        environments=environments,
        seconds=seconds,
        small=seconds <= SECONDS_IF_QUICK,
    )
    if own:
        found["self"] = own_runner.run(own, workers=workers, rounds=rounds, say=say).as_json()
    return found


def _measure_all(amount: Amount, say: Callable[[str], None]) -> Run:
    own = own_catalogue.chosen(OWN_MEASUREMENTS)
    return measure(
        chosen([]),
        measuring.chosen([]),
        [each for each in own if not (amount.quick and each.is_long)],
        workers=amount.workers,
        rounds=amount.rounds,
        seconds=SECONDS_IF_QUICK if amount.quick else SECONDS,
        environments=None,
        say=say,
    )


BENCHMARK = Benchmark(
    "peers",
    "Calls",
    _measure_all,
    TARGETS,
    [figure for key in CHARTED for figure in FIGURES if figure.key == key],
    NO_PEERS,
)
