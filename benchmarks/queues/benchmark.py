"""The benchmark as a whole: what it measures, and what is to be reached."""

from benchmarks.queues.measurements import IDLE, MEASUREMENTS
from benchmarks.queues.targets import TARGETS
from benchmarks.sessions.side_by_side import SideBySide

__all__ = ["QUEUES"]

QUEUES = SideBySide("queues", "Queues", MEASUREMENTS, TARGETS, ("compute", IDLE))
