"""Runs as they could have been measured."""

from benchmarks.self.figure import Figure, Series
from benchmarks.self.results import Results

SECONDS = Figure("start", "start to first result", "s")
RATE = Figure("map", "`map`", "calls/s", more_is_better=True)
MEMORY = Figure("memory", "memory", "MB", smallest=5.0)

MACHINE = {
    "date": "2026-01-01 12:00 UTC",
    "cores": 2,
    "processor": "a processor",
    "memory_bytes": 8 * 2**30,
    "load_average_before": 0.1,
    "system": "Linux",
    "python": "3.11.0",
    "redis": "7.0.0",
}


def results(
    values: dict[Figure, list[float]], *, errors: dict[str, str] | None = None, cores: int = 2
) -> Results:
    series = {figure.name: Series(figure, tuple(each)) for figure, each in values.items()}
    machine = {**MACHINE, "cores": cores}
    return Results(
        machine, "abc", {"celery": "5.7.0"}, {"workers": 2, "rounds": 3}, series, errors or {}
    )
