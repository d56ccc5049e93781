"""Computes how many cores a process uses from the CPU time that it has used so far."""

from collections.abc import Hashable

__all__ = ["CpuMeter"]

# Seconds between two readings that are compared: the kernel may count in hundredths.
SHORTEST = 0.1


class CpuMeter:
    """Computes the average cores since the previous reading, for many containers or processes.

    A reading that comes too soon after another one gives the same result again.

    Examples:
        >>> meter = CpuMeter()
        >>> meter.cores("redis", time=14.0, total=1.0, born=10.0)
        0.25
        >>> meter.cores("redis", time=16.0, total=2.0, born=10.0)
        0.5
    """

    def __init__(self) -> None:
        self._before: dict[Hashable, tuple[float, float, float]] = {}

    def cores(self, key: Hashable, *, time: float, total: float, born: float) -> float:
        """Add a reading of a container or process, and return how many cores it uses.

        Args:
            key: Identifies the container or process.
            time: When the reading was taken, in seconds of any clock.
            total: Seconds of CPU time so far; less than before if it was started again.
            born: When it started, on that clock: the first reading gives the average since then.
        """
        time_before, total_before, cores = self._before.get(key, (born, 0.0, 0.0))
        if time - time_before >= SHORTEST:
            cores = (total - (total_before if total >= total_before else 0.0)) / (
                time - time_before
            )
            self._before[key] = (time, total, cores)
        return cores
