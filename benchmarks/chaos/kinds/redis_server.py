"""A Redis that is away, empty or full."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.chaos.kinds.kind import Kind
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig

__all__ = ["REDIS"]


@contextmanager
def redis_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    rig.redis.kill()
    yield
    rig.redis.start()


@contextmanager
def redis_emptied(rig: Rig, fault: Fault) -> Iterator[None]:
    rig.redis.empty()
    yield


@contextmanager
def redis_full(rig: Rig, fault: Fault) -> Iterator[None]:
    rig.redis.fill()
    yield
    rig.redis.free()


REDIS = {
    "redis killed": Kind(redis_killed, (1.0, 10.0), ("BrokerUnreachableError", "WorkerLostError")),
    "redis emptied": Kind(redis_emptied, excuses=("TaskLostError", "ValueLostError")),
    "redis full": Kind(redis_full, (1.0, 5.0), ("BrokerFullError",)),
}
