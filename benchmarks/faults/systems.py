"""Which systems there are, in the order of the tables.

Adding one: an adapter, a deployment, and a line here.
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
    """One system, as its documentation recommends it for work that must not be lost.

    Attributes:
        name: What ``--only`` takes.
        title: How tables name it.
        adapter: ``module:Class`` of its client's side.
        deployment: How it is set up.
        setting_up: The same in words, with the settings that are no defaults.
        requirements: What to install into an environment of its own; empty if this library's has
            it.
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
