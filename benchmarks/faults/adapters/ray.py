"""Ray."""

import os
from collections.abc import Callable
from typing import Any

import ray

from benchmarks.faults import functions
from benchmarks.faults.adapters.base import Adapter

__all__ = ["Ray"]

remotes = {
    function: ray.remote(function)
    for function in (functions.work, functions.die, functions.endless)
}


class Ray(Adapter):
    """A client of Ray: calls are remote tasks, whose results belong to the driver."""

    packages = ("ray",)

    def __init__(self) -> None:
        address = os.environ["FAULTS_ADDRESS"]
        ray.init(address=address, _node_ip_address=address.partition(":")[0], log_to_driver=False)

    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        return remotes[function].remote(*arguments)

    def is_done(self, call: Any) -> bool:
        done, _ = ray.wait([call], timeout=0)
        return bool(done)

    def result(self, call: Any) -> int:
        return int(ray.get(call))

    def cancel(self, call: Any) -> None:
        ray.cancel(call, force=True)
