"""From what somebody has used of the processor so far to how many cores it uses."""

from collections.abc import Hashable

__all__ = ["CpuMeter"]

SHORTEST = (
    0.1  # Seconds between two readings that say something: the kernel may count in hundredths.
)


class CpuMeter:
    """Cores on average since the reading before, for any number of containers or processes.

    A reading that comes too soon after another gives the same answer again.

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
        """Take in a reading.

        Args:
            key: Whose it is.
            time: When it was taken, in seconds of any clock.
            total: Seconds of processor time so far; less than before if it began anew.
            born: When it began, on that clock: the first reading is an average since then.
        """
        time_before, total_before, cores = self._before.get(key, (born, 0.0, 0.0))
        if time - time_before >= SHORTEST:
            cores = (total - (total_before if total >= total_before else 0.0)) / (
                time - time_before
            )
            self._before[key] = (time, total, cores)
        return cores
