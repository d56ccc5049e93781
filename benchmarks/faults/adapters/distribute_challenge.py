"""The library itself, on a cluster of its user's own."""

import inspect
from collections.abc import Callable
from typing import Any

import distribute_challenge
from benchmarks.faults.adapters.base import Adapter
from distribute_challenge import Distributable

__all__ = ["DistributeChallenge"]


class DistributeChallenge(Adapter):
    """A client of this library: calls are futures, or detached futures."""

    packages = ("distribute_challenge", "celery", "kombu", "redis")

    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        return distribute_challenge.compute_this()(function)(*arguments).submit()

    def is_done(self, call: Any) -> bool:
        return bool(call.done())

    def result(self, call: Any) -> int:
        return int(call.result())

    def cancel(self, call: Any) -> None:
        if "force" not in inspect.signature(call.cancel).parameters:
            raise NotImplementedError("this version has no cancel(force=True)")
        call.cancel(force=True)

    def submit_detached(self, function: Callable[..., int], arguments: list[Any]) -> str:
        if "detach" not in inspect.signature(Distributable.submit).parameters:
            raise NotImplementedError("this version has no submit(detach=True)")
        call: Any = distribute_challenge.compute_this()(function)(*arguments)
        return str(call.submit(detach=True).id)

    def attach(self, name: str) -> Any:
        return getattr(distribute_challenge, "attach")(name)  # noqa: B009 - older versions, which have none, come to no attach
