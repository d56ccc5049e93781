"""Plans the sessions: one for each measurement, system and round.

So what one measurement leaves in memory is not there in the next, and a system that fails in one
takes no other with it.
"""

from collections.abc import Sequence

from benchmarks.graph.measurements import MEASUREMENTS, Measurement
from benchmarks.sessions.rounds import Plan

__all__ = ["plan"]

SESSION = "benchmarks.graph.session"  # Module that runs in the process of a system.


def plan(measurements: Sequence[Measurement], *, quick: bool) -> Plan:
    """Return what the systems are asked for.

    Args:
        measurements: What to measure, in order.
        quick: Whether graphs are small.
    """
    return Plan(
        session=SESSION,
        groups=[[measurement.name] for measurement in measurements],
        deadline=lambda name: MEASUREMENTS[name].deadline,
        order={"quick": quick},
    )
