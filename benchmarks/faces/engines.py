"""``python -m benchmarks.faces.engines``: `map` on Dask and Ray, beside what these systems offer.

    pip install -e ".[dask,ray]"
    python -m benchmarks.faces.engines --workers 2

Both sides of a row run the same small function on the same cluster, in a process of its own for each
row and round, after a first run that starts everything. The peers are so much slower that they run
fewer calls: the table compares calls a second.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import click

from benchmarks.markdown import markdown_table

__all__ = ["main"]

CALLS = 100_000
CALLS_OF_PEER = 2_000
TIMEOUT = 600  # Seconds for one process.

Run = Callable[[int], int]


def square(x: int) -> int:
    """Return the square of a number."""
    return x * x


def on_dask(workers: int) -> tuple[Run, Run]:
    """Return ways to sum up calls on a Dask cluster: this library's and Dask's own."""
    from distributed import Client

    client = Client(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )

    def own(calls: int) -> int:
        return sum(client.gather(client.map(square, range(calls), pure=False)))

    return ours("dask"), own


def on_ray(workers: int) -> tuple[Run, Run]:
    """Return ways to sum up calls on Ray: this library's and Ray's own."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    remote = ray.remote(square)

    def own(calls: int) -> int:
        return sum(ray.get([remote.remote(number) for number in range(calls)]))

    return ours("ray"), own


def ours(backend: str) -> Run:
    """Return the way to sum up calls by a map on a backend."""
    from distribute_challenge import compute_this

    distributed = compute_this(square, backend=backend)
    return lambda calls: sum(distributed.map(range(calls)))


MEASUREMENTS: dict[str, tuple[str, Callable[[int], tuple[Run, Run]]]] = {
    "engine-dask": ("engine `dask`, beside `client.map`", on_dask),
    "engine-ray": ("engine `ray`, beside Ray's tasks", on_ray),
}


@click.command()
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--only", type=click.Choice(list(MEASUREMENTS)), help="One measurement alone.")
@click.option("--here", is_flag=True, hidden=True, help="Measure in this process.")
def main(workers: int, rounds: int, only: str | None, here: bool) -> None:
    """Measure `map` on Dask and Ray, beside what these systems offer."""
    if here and only is not None:
        click.echo(json.dumps(_measured_here(only, workers)))
        return
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for name in [only] if only else MEASUREMENTS:
            ours, peers = _measured(name, workers)
            click.echo(
                f"round {number + 1}: {name}: {ours:,.0f} and {peers:,.0f} calls/s", err=True
            )
            found.setdefault(name, []).append((ours, peers))
    click.echo(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n", err=True)
    click.echo(
        markdown_table(
            [
                "what",
                f"calls/s, {CALLS:,} calls by our map",
                f"calls/s, {CALLS_OF_PEER:,} calls by theirs",
                "ours relative to theirs",
            ],
            [_row(name, rates) for name, rates in found.items()],
        )
    )


def _row(name: str, rates: list[tuple[float, float]]) -> list[str]:
    ours, peers = (list(side) for side in zip(*rates, strict=True))
    return [
        MEASUREMENTS[name][0],
        *(f"{median(side):,.0f} ({min(side):,.0f} to {max(side):,.0f})" for side in (ours, peers)),
        f"{median(mine / theirs for mine, theirs in rates):.0f} ×",
    ]


def _measured(name: str, workers: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.faces.engines", "--here", "--only", name]
    run = subprocess.run(
        [*command, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
        check=True,
    )
    ours, peers = json.loads(run.stdout.splitlines()[-1])
    return ours, peers


def _measured_here(name: str, workers: int) -> tuple[float, float]:
    """Return the calls a second of this library and of the peer."""
    ours, peers = MEASUREMENTS[name][1](workers)
    return _rate(ours, CALLS), _rate(peers, CALLS_OF_PEER)


def _rate(run: Run, calls: int) -> float:
    run(100)
    began = time.perf_counter()
    total = run(calls)
    seconds = time.perf_counter() - began
    assert total == sum(number * number for number in range(calls))
    return calls / seconds


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.faces.engines")
