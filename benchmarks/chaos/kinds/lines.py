"""Lines to Redis, of clients and of workers, that are cut, silent, refused, slow or narrow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.chaos.kinds.kind import WORKER_LOST, Effect, Kind
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.proxy import Proxy
from benchmarks.rig.rig import Rig

__all__ = ["LINES"]

SLOW = 0.1  # Seconds more in each direction, on a line that is slow.
NARROW = 250_000  # Bytes a second in each direction, on one that is narrow: two megabits.


def _on_line(line: Callable[[Rig], Proxy], harm: Callable[[Proxy], None]) -> Effect:
    @contextmanager
    def effect(rig: Rig, fault: Fault) -> Iterator[None]:
        harm(line(rig))
        yield
        line(rig).heal()

    return effect


def _client_line(rig: Rig) -> Proxy:
    return rig.client_line


def _worker_line(rig: Rig) -> Proxy:
    return rig.worker_line


def _on_both(
    harm: str, lasts: tuple[float, float], orders: Callable[[Proxy], None]
) -> dict[str, Kind]:
    # A call that is waited for with `compute` is sent by the caller's own thread, which is told at
    # once that it cannot be.
    unreachable = ("BrokerUnreachableError",)
    return {
        f"client line {harm}": Kind(_on_line(_client_line, orders), lasts, unreachable),
        f"worker line {harm}": Kind(_on_line(_worker_line, orders), lasts, WORKER_LOST),
    }


LINES = {
    **_on_both("cut", (0.0, 0.0), Proxy.cut),
    **_on_both("refused", (1.0, 10.0), Proxy.refuse),
    # Until it is noticed: nothing of what was there comes back to life before.
    **_on_both("half-open", (20.0, 20.0), Proxy.silence),
    **_on_both("dead", (1.0, 20.0), lambda line: line.silence(new=True)),
    **_on_both("slow", (2.0, 5.0), lambda line: line.slow_down(SLOW)),
    **_on_both("narrow", (5.0, 15.0), lambda line: line.narrow(NARROW)),
}
