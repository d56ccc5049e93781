"""Lists the systems in the order of the tables.

To add a system, write an adapter and a deployment, and add a line here.
"""

from dataclasses import dataclass

from benchmarks.faults.deployments import (
    CeleryOnRedis,
    DaskScheduler,
    Deployment,
    DistributeChallengeOnRedis,
    RayHead,
)

__all__ = ["SYSTEMS", "System"]


@dataclass(frozen=True)
class System:
    """A system, set up as its documentation recommends for work that must not be lost.

    Attributes:
        name: Name for ``--only``.
        title: Name in tables.
        adapter: ``module:Class`` of its `Adapter`.
        deployment: Class of its deployment.
        setting_up: The set-up in words, with the settings that differ from the defaults.
        requirements: Requirements of an environment of its own; empty if it uses this library's.
    """

    name: str
    title: str
    adapter: str
    deployment: type[Deployment]
    setting_up: str
    requirements: tuple[str, ...] = ()


_ALL = (
    System(
        "distribute_challenge",
        "distribute_challenge",
        "benchmarks.faults.adapters.distribute_challenge:DistributeChallenge",
        DistributeChallengeOnRedis,
        "Defaults: two `distribute-challenge worker` with one process each; Redis with its "
        "append-only file.",
    ),
    System(
        "celery",
        "Celery",
        "benchmarks.faults.adapters.celery:Celery",
        CeleryOnRedis,
        "Two `celery worker` with one prefork process each; Redis with its append-only file as "
        "broker and for results; "
        "`task_acks_late`, `task_reject_on_worker_lost`, `worker_prefetch_multiplier=1`; the rest "
        "as it is by default, a visibility "
        "timeout of an hour among it. Cancelled by `revoke(terminate=True, signal='SIGKILL')`; "
        "asked for again by `AsyncResult(id)`.",
    ),
    System(
        "dask",
        "Dask distributed",
        "benchmarks.faults.adapters.dask:Dask",
        DaskScheduler,
        "Defaults: `dask scheduler`, two `dask worker` with a nanny and one thread each. Cancelled "
        "by `cancel(force=True)`; kept for "
        "others by `publish_dataset`.",
        ("dask[distributed] >=2026.1",),
    ),
    System(
        "ray",
        "Ray",
        "benchmarks.faults.adapters.ray:Ray",
        RayHead,
        "Defaults: `ray start --head` without CPUs for calls, two further nodes with one CPU each, "
        "all on one machine; the driver is "
        "at the head. Cancelled by `ray.cancel(force=True)`.",
        ("ray >=2.50",),
    ),
)

SYSTEMS = {system.name: system for system in _ALL}
