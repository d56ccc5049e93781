"""`map` on Dask and Ray, beside what these systems offer.

Both sides run the same small function on the same kind of cluster, after a first run that starts
everything. The peers are so much slower that they run fewer calls.
"""

import time
from collections.abc import Callable

from benchmarks.sessions.entry import OURS
from benchmarks.sessions.results import Figure
from benchmarks.sessions.side_by_side import Measurement

__all__ = ["DASK_MAP", "MEASUREMENTS", "RAY_TASKS"]

CALLS = 100_000
CALLS_OF_PEER = 2_000
FEWEST = 100
DASK_MAP, RAY_TASKS = "Dask's Client.map", "Ray's tasks"

Run = Callable[[int], int]


def square(x: int) -> int:
    """Return the square of a number."""
    return x * x


def on_dask(system: str, workers: int, scale: float) -> float:
    """Return the calls a second on a Dask cluster."""
    from distributed import Client

    with Client(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as client:
        if system == OURS:
            return _rate(_ours("dask"), CALLS * scale)

        def own(calls: int) -> int:
            return sum(client.gather(client.map(square, range(calls), pure=False)))

        return _rate(own, CALLS_OF_PEER * scale)


def on_ray(system: str, workers: int, scale: float) -> float:
    """Return the calls a second on Ray."""
    import ray

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    if system == OURS:
        return _rate(_ours("ray"), CALLS * scale)
    remote = ray.remote(square)

    def own(calls: int) -> int:
        return sum(ray.get([remote.remote(number) for number in range(calls)]))

    return _rate(own, CALLS_OF_PEER * scale)


def _ours(backend: str) -> Run:
    from distribute_challenge import compute_this

    distributed = compute_this(square, backend=backend)
    return lambda calls: sum(distributed.map(range(calls)))


def _rate(run: Run, most: float) -> float:
    calls = max(FEWEST, round(most))
    run(FEWEST)
    began = time.perf_counter()
    total = run(calls)
    seconds = time.perf_counter() - began
    if total != sum(number * number for number in range(calls)):
        raise AssertionError(f"the squares of {calls} numbers add up to {total}")
    return calls / seconds


MEASUREMENTS = (
    Measurement(
        Figure("engine_dask", "engine_dask", "`map` on Dask, calls/s", more_is_better=True),
        on_dask,
        (OURS, DASK_MAP),
    ),
    Measurement(
        Figure("engine_ray", "engine_ray", "`map` on Ray, calls/s", more_is_better=True),
        on_ray,
        (OURS, RAY_TASKS),
    ),
)
