"""Measures the CPU that other programs take: the figures of a busy machine mean little."""

import os
import time

from distribute_challenge.benchmarking.clusters.cpu_meter import CpuMeter
from distribute_challenge.benchmarking.extra import Lazily

__all__ = ["OtherLoad"]

psutil = Lazily("psutil")


class OtherLoad:
    """Measures how many cores are busy, without those that the benchmark itself uses."""

    def __init__(self) -> None:
        self._meter = CpuMeter()
        self._began = time.monotonic()
        self._before = _busy_seconds()
        self._own_before = _own_seconds()

    def cores(self, cluster: float) -> float:
        """Return the cores that other programs keep busy, on average since the last call.

        Args:
            cluster: Cores that the cluster takes.
        """
        now = time.monotonic()
        all_cores = self._meter.cores(
            "all", time=now, total=_busy_seconds() - self._before, born=self._began
        )
        own = self._meter.cores(
            "own", time=now, total=_own_seconds() - self._own_before, born=self._began
        )
        return max(0.0, all_cores - own - cluster)


def _busy_seconds() -> float:
    """Return the CPU seconds of the whole machine, with those that its host withheld from it."""
    times = psutil.cpu_times()
    # On Linux, the times of guests are part of the times of users.
    idle = sum(getattr(times, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
    return float(sum(times) - idle)


def _own_seconds() -> float:
    used = os.times()
    return used.user + used.system
