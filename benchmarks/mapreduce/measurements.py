"""What is measured, in the order of the tables."""

from benchmarks.mapreduce import numbers, words
from benchmarks.mapreduce.keys import (
    KEYS,
    SOME_KEYS,
    client_memory,
    client_time,
    client_time_sorted,
)
from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement

__all__ = ["MEASUREMENTS"]

MEGABYTES = words.FILES * words.FILE_BYTES // 1_000_000
TIMES = 10  # As much text, for `more_words`.
# Dask's bag would take an hour for so much text.
WITH_MORE_WORDS = (OURS, "multiprocessing.Pool", "Ray tasks")


def more_words(system: str, workers: int, scale: float) -> float:
    """Return the seconds to count the words of more files."""
    return words.words(system, workers, TIMES * scale)


MEASUREMENTS = (
    Measurement(
        Figure("words", "words", f"words of {MEGABYTES} MB of text, s"),
        words.words,
        list(words.SYSTEMS),
        deadline=3600.0,  # Dask's bag takes minutes, and many of them on a busy machine.
    ),
    Measurement(
        Figure("more_words", "more_words", f"words of {MEGABYTES * TIMES:,} MB of text, s"),
        more_words,
        [name for name in WITH_MORE_WORDS if name in words.SYSTEMS],
    ),
    Measurement(
        Figure("sort", "sort", f"{numbers.FILES * numbers.NUMBERS:,} numbers, sorted, s"),
        numbers.sort,
        list(numbers.SYSTEMS),
    ),
    Measurement(
        Figure("keys", "keys", f"memory of the client with {KEYS:,} keys, MB", is_compared=False),
        client_memory,
        [OURS],
    ),
    *(
        Measurement(
            Figure(name, name, f"CPU of the client for each of {text}, µs", 1e6, is_compared=False),
            take,
            [OURS],
        )
        for name, text, take in (
            ("key_cpu", f"{SOME_KEYS:,} keys", client_time),
            ("sorted_key_cpu", f"{SOME_KEYS:,} keys in order", client_time_sorted),
        )
    ),
)
