"""joblib on this library, beside joblib on loky.

The workers have been started and have imported what they need.
"""

import time
from collections.abc import Callable
from math import sqrt

from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement

__all__ = ["MEASUREMENTS"]

BACKENDS = (OURS, "loky")
ROOTS = 100_000
SAMPLES = 2000


def roots(backend: str, workers: int, scale: float) -> float:
    """Return the seconds of many calls that take a tenth of a microsecond."""
    from joblib import Parallel, delayed

    numbers = range(max(1, round(ROOTS * scale)))
    return _second_time(
        backend,
        lambda: Parallel(n_jobs=workers)(delayed(sqrt)(number) for number in numbers),
    )


def grid_search(backend: str, workers: int, scale: float) -> float:
    """Return the seconds of a grid search with 18 fits of about a tenth of a second."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    x, y = make_classification(max(100, round(SAMPLES * scale)), 20, random_state=0)
    grid = {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}
    return _second_time(backend, lambda: GridSearchCV(SVC(), grid, cv=3, n_jobs=workers).fit(x, y))


def _second_time(backend: str, run: Callable[[], object]) -> float:
    """Return the seconds of the second of two runs: the first starts the workers."""
    from joblib import parallel_config

    import distribute_challenge.joblib  # noqa: F401 - registers the backend

    with parallel_config(backend):
        run()
        began = time.perf_counter()
        run()
        return time.perf_counter() - began


MEASUREMENTS = (
    Measurement(Figure("roots", "roots", f"joblib: {ROOTS:,} × `sqrt`, s"), roots, BACKENDS),
    Measurement(
        Figure("grid_search", "grid_search", "joblib: `GridSearchCV`, 18 fits, s"),
        grid_search,
        BACKENDS,
    ),
)
