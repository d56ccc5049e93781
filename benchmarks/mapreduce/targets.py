"""The targets of a run."""

from benchmarks.mapreduce.measurements import MEASUREMENTS
from benchmarks.sessions.targets import Target, ours, takes, times

__all__ = ["TARGETS"]

_FIGURES = {each.figure.key: each.figure for each in MEASUREMENTS}

TARGETS = (
    Target(
        "word count of 100 MB of text",
        "at most 1.1 × multiprocessing.Pool; at least 1.8 × faster than Ray tasks, 4 × Spark "
        "(which is not measured here), 5 × Dask bag",
        (
            takes(_FIGURES["words"], "multiprocessing.Pool", 1.1),
            times(_FIGURES["words"], "Ray tasks", 1.8),
            times(_FIGURES["words"], "Spark", 4),
            times(_FIGURES["words"], "Dask bag", 5),
        ),
        _FIGURES["words"],
        why="a pool, and Ray tasks that count groups of files and are merged in their client, need as "
        "much CPU time as `map_reduce`",
    ),
    Target(
        "word count of 1 GB of text",
        "at most 1.1 × multiprocessing.Pool; at least 1.8 × faster than Ray tasks",
        (
            takes(_FIGURES["more_words"], "multiprocessing.Pool", 1.1),
            times(_FIGURES["more_words"], "Ray tasks", 1.8),
        ),
        _FIGURES["more_words"],
    ),
    Target(
        "10 million keys, read and not kept",
        "client below 300 MB",
        (ours(_FIGURES["keys"], most=300.0),),
    ),
    Target(
        "10 million numbers, sorted by key range",
        "at least 2 × faster than Dask",
        (times(_FIGURES["sort"], "Dask dataframe", 2),),
        _FIGURES["sort"],
    ),
)
