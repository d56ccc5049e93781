"""The benchmark as a whole: what it measures, and what is to be reached."""

from benchmarks.mapreduce.measurements import MEASUREMENTS
from benchmarks.mapreduce.targets import TARGETS
from benchmarks.sessions.side_by_side import SideBySide

__all__ = ["MAP_REDUCE"]

MAP_REDUCE = SideBySide("mapreduce", "Map-reduce", MEASUREMENTS, TARGETS)
