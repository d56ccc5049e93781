"""Clusters of Dask and Ray for tests, started when a test first needs one.

Each is a process of its own, which ends its cluster when this process closes its standard input: at
the end of each file of tests, and when the tests are interrupted or killed.
"""

import builtins
import os
import subprocess
import sys
from functools import cache
from typing import Any

from distribute_challenge.execution_backends.clusters import dask, ray
from distribute_challenge.execution_backends.clusters.base import ClusterCall
from distribute_challenge.execution_backends.clusters.dask import DaskExecutionBackend
from distribute_challenge.execution_backends.clusters.ray import RayExecutionBackend
from tests.optional import needed
from tests.processes import PATIENCE

__all__ = ["dask_backend", "dask_schedulers", "has_arrived", "ray_address", "ray_backend", "stop"]

DASK = """
import sys
import dask
from distributed import LocalCluster

if __name__ == "__main__":
    # Two workers die of a call that kills them, and no test waits for others.
    dask.config.set({"distributed.scheduler.allowed-failures": 1})
    common = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with LocalCluster(2, **common) as two, LocalCluster(1, processes=False, protocol="tcp", **common) as one:
        print(two.scheduler_address, one.scheduler_address, flush=True)
        sys.stdin.read()
"""


RAY = """
import sys
import ray

ray.init(
    num_cpus=2, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
ray.shutdown()
"""


@cache
def _addresses(program: str) -> list[str]:
    """The addresses of a cluster, started by a program that prints them."""
    # It runs without coverage, which takes half of its start, and half of that of each call's process.
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")},
    )
    assert running.stdout is not None
    _running.append(running)
    line = running.stdout.readline()
    assert line, f"it ended with code {running.wait()}"
    return line.split()


# On a busy machine, an answer may take longer than an engine waits for it.
dask.ANSWER_WITHIN = ray.ANSWER_WITHIN = PATIENCE

PRINT = print

_running: list["subprocess.Popen[str]"] = []


def stop() -> None:
    """End the clusters that have been started; the next test that needs one starts another."""
    if not _running:
        return
    _addresses.cache_clear()
    package: Any = sys.modules.get("ray")
    if package is not None and package.is_initialized():
        package.shutdown()
    builtins.print = PRINT  # Ray has put a function of its own there, for its progress bars.
    while _running:
        program = _running.pop()
        try:
            program.communicate(timeout=PATIENCE)  # It closes the input.
        except subprocess.TimeoutExpired:
            program.kill()
            program.communicate()


def dask_schedulers() -> tuple[str, str]:
    """The addresses of a cluster of two workers with a thread each, and of one with one worker."""
    two, one = _addresses(DASK)
    return two, one


def has_arrived(call: ClusterCall) -> bool:
    """Whether a call waits at a worker of Dask, or in the queue of the scheduler."""
    client, future = call.handle
    return client.run_on_scheduler(_is_queued, future.key) or any(
        client.run(_is_at_worker, future.key).values()
    )


def _is_queued(key: Any, dask_scheduler: Any) -> bool:
    return key in dask_scheduler.tasks and dask_scheduler.tasks[key].state == "queued"


def _is_at_worker(key: Any, dask_worker: Any) -> bool:
    return key in dask_worker.state.tasks


def dask_backend() -> DaskExecutionBackend:
    """An engine on two workers."""
    return DaskExecutionBackend(dask_schedulers()[0])


def ray_backend() -> RayExecutionBackend:
    """An engine on two workers, on the connection of this process to Ray."""
    package = needed("ray")
    if not package.is_initialized():
        package.init(ray_address(), log_to_driver=False)
    return RayExecutionBackend()


def ray_address() -> str:
    """The address of Ray with two CPUs."""
    # The token that Ray asks for otherwise would be written into the user's folder.
    os.environ["RAY_AUTH_MODE"] = "disabled"
    (address,) = _addresses(RAY)
    return address
