"""Lists what ``--where`` measures, and the figures by their names.

A name begins with the measurement: ``round_trip.stage.pickled.wall``. Which commands of Redis there
are shows only as they run, so figures are made from the names that a measurement returns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.choosing import select
from benchmarks.self.figure import Figure
from benchmarks.self.measurement import Measurement
from benchmarks.self.where.stages import SPANS, STAGES

__all__ = ["CATALOGUE", "KINDS", "TIMELINE", "Breakdown", "chosen", "figure_of"]

#: The processes of a cluster, as they are called in tables.
KINDS = {
    "client": "client",
    "main": "worker's main process",
    "child": "worker's child processes",
    "redis": "Redis",
}
#: The times between the moments of a `Timeline`.
TIMELINE = {
    "unsent": "created to sent",
    "waiting": "sent to started",
    "running": "started to finished",
    "returning": "finished to received",
}
_WHOLE = {
    "whole": ("the whole", "µs"),
    "typical": ("the whole, mean of the middle half", "µs"),
    "unmarked": ("the whole, without marks", "µs"),
    "marked": ("calls with all marks", "of all"),
    "redis.received": ("bytes to Redis", "B"),
    "redis.sent": ("bytes from Redis", "B"),
}
_OF_PROCESS = {
    "cpu": ("CPU", "µs"),
    "waits": ("waits", ""),
    "read": ("bytes by read()", "B"),
    "written": ("bytes by write()", "B"),
}
_TAKEN = {"wall": "median", "typical": "mean of the middle half", "cpu": "CPU"}
_STAGES = {stage.name: stage.title for stage in STAGES}
_SPANS = {span.name: span.title for span in SPANS}
# The system counts CPU time in hundredths of a second: less than a microsecond for each call is not
# resolved.
SMALLEST = 1.0


@dataclass(frozen=True)
class Breakdown(Measurement):
    """A measurement whose figures follow from what it returns."""

    def figures_of(self, values: Mapping[str, float]) -> Iterable[Figure]:
        return map(figure_of, values)


_MEASUREMENTS = (
    Breakdown("round_trip", "where.measuring:round_trip", (), deadline=240.0),
    Breakdown("submit", "where.measuring:submitted", (), deadline=120.0),
    Breakdown("map", "where.measuring:mapped", (), deadline=120.0),
)

CATALOGUE = {measurement.name: measurement for measurement in _MEASUREMENTS}


def chosen(names: list[str]) -> list[Breakdown]:
    """Return the measurements of these names; all if no name is given.

    Raises:
        KeyError: No measurement has one of the names.
    """
    return select(CATALOGUE, names, "measurement with --where")


def figure_of(name: str) -> Figure:
    """Return the figure of a name that a measurement returned.

    Examples:
        >>> figure_of("round_trip.process.redis.cpu").title
        'round_trip: Redis, CPU'
        >>> figure_of("submit.command.lpush.calls").title
        'submit: LPUSH, times a call'
    """
    measurement, _, rest = name.partition(".")
    title, unit = _told(rest)
    smallest = SMALLEST if unit == "µs" else 0.0
    return Figure(name, f"{measurement}: {title}", unit, smallest=smallest)


def _told(name: str) -> tuple[str, str]:
    """Return the title and the unit of a figure, without its measurement."""
    if name in _WHOLE:
        return _WHOLE[name]
    match name.split("."):
        case ["stage", stage, taken]:
            return f"{_STAGES[stage]}, {_TAKEN[taken]}", "µs"
        case ["span", span, _]:
            return f"{_SPANS[span]}, CPU", "µs"
        case ["in_stages", kind, _]:
            return f"{KINDS[kind]}, CPU in the stages", "µs"
        case ["marked", "process", kind, _]:
            return f"{KINDS[kind]}, CPU with marks", "µs"
        case ["process", kind, what]:
            title, unit = _OF_PROCESS[what]
            return f"{KINDS[kind]}, {title}", unit
        case ["timeline", part]:
            return f"{TIMELINE[part]}, by the timeline", "µs"
        case ["command", command, "calls"]:
            return f"{command.upper()}, times a call", ""
        case ["command", command, "time"]:
            return f"{command.upper()}, time in Redis", "µs"
    raise KeyError(f"no figure is called {name!r}")
