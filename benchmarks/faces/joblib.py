"""``python -m benchmarks.faces.joblib``: joblib on this library, beside joblib on loky.

    pip install -e ".[joblib]" scikit-learn
    python -m benchmarks.faces.joblib --workers 2

Each measurement runs in a process of its own, with workers that have been started and have imported
what they need. The rounds are interleaved, so that what else the machine does hits both. The table
shows medians, with the lowest and highest, and how long ours takes relative to loky.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from math import sqrt
from statistics import median

import click

from benchmarks.markdown import markdown_table

__all__ = ["main"]

BACKENDS = ("loky", "distribute_challenge")
ROOTS = 100_000
TIMEOUT = 600  # Seconds for one process.


def roots(workers: int) -> float:
    """Return the seconds of many calls that take a tenth of a microsecond."""
    from joblib import Parallel, delayed

    def once() -> float:
        began = time.perf_counter()
        Parallel(n_jobs=workers)(delayed(sqrt)(number) for number in range(ROOTS))
        return time.perf_counter() - began

    once()
    return once()


def grid_search(workers: int) -> float:
    """Return the seconds of a grid search with 18 fits of about a tenth of a second."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    x, y = make_classification(2000, 20, random_state=0)
    grid = {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}

    def once() -> float:
        began = time.perf_counter()
        GridSearchCV(SVC(), grid, cv=3, n_jobs=workers).fit(x, y)
        return time.perf_counter() - began

    once()
    return once()


MEASUREMENTS: dict[str, tuple[str, Callable[[int], float]]] = {
    "roots": (f"{ROOTS:,} × `sqrt`", roots),
    "grid_search": ("`GridSearchCV`, 18 fits", grid_search),
}


@click.command()
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=2))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--only", type=click.Choice(list(MEASUREMENTS)), help="One measurement alone.")
@click.option("--on", type=click.Choice(BACKENDS), hidden=True, help="Measure in this process.")
def main(workers: int, rounds: int, only: str | None, on: str | None) -> None:
    """Measure joblib on this library, beside joblib on loky."""
    if on is not None and only is not None:
        click.echo(json.dumps(_measured_here(only, on, workers)))
        return
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for name in [only] if only else MEASUREMENTS:
            for backend in BACKENDS:
                seconds = _measured(name, backend, workers)
                click.echo(f"round {number + 1}: {name} on {backend}: {seconds:.2f} s", err=True)
                found.setdefault((name, backend), []).append(seconds)
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n", err=True)
    click.echo(
        markdown_table(
            ["what", *BACKENDS, "ours relative to loky"],
            [_row(name, found) for name in ([only] if only else MEASUREMENTS)],
        )
    )


def _row(name: str, found: dict[tuple[str, str], list[float]]) -> list[str]:
    loky, ours = (found[name, backend] for backend in BACKENDS)
    return [
        MEASUREMENTS[name][0],
        *(f"{median(each):.2f} s ({min(each):.2f} to {max(each):.2f})" for each in (loky, ours)),
        f"{median(ours) / median(loky):.2f}",
    ]


def _measured(name: str, backend: str, workers: int) -> float:
    command = [sys.executable, "-m", __spec__.name]
    command += ["--only", name, "--on", backend, "--workers", str(workers)]
    environment = {**os.environ, "DISTRIBUTE_CHALLENGE_WORKERS": str(workers)}
    run = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, timeout=TIMEOUT, check=True
    )
    return float(json.loads(run.stdout))


def _measured_here(name: str, backend: str, workers: int) -> float:
    from joblib import parallel_config

    import distribute_challenge.joblib  # noqa: F401 - registers the backend

    with parallel_config(backend):
        return MEASUREMENTS[name][1](workers)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.faces.joblib")
