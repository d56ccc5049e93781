"""Plays faults against a rig, one after the other, and says when each of them was."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig

__all__ = ["Played", "Player"]


@dataclass(frozen=True, slots=True)
class Played:
    """A fault that has been.

    Args:
        fault: The fault.
        begun: When it began, in seconds of the monotonic clock.
        ended: And when it had been undone.
    """

    fault: Fault
    begun: float
    ended: float


class Player:
    """Plays schedules.

    Args:
        rig: What the faults happen to.
        wait: Waits so many seconds, and may end the play by raising.
        began: Told of each fault, before it begins.
        ended: Told of each that has been undone.
    """

    def __init__(
        self,
        rig: Rig,
        *,
        wait: Callable[[float], None] = time.sleep,
        began: Callable[[Fault], None] = lambda fault: None,
        ended: Callable[[Played], None] = lambda played: None,
    ) -> None:
        self._rig = rig
        self._wait = wait
        self._began = began
        self._ended = ended

    def play(self, schedule: Iterable[Fault], *, until: float = float("inf")) -> list[Played]:
        """Play a schedule to its end.

        Args:
            schedule: Faults in the order of their times. One whose time has come before the last
                was over begins at once. What it takes to bring a fault about and to undo it comes
                on top of what it lasts, and puts off those that follow.
            until: Seconds after which no fault begins any more.

        Returns:
            What was played.

        Raises:
            ClusterStartError: Something that was harmed does not come up again.
            TimeoutError: Something that was told to end does not.
        """
        start = time.monotonic()
        end = start + until
        played = []
        for fault in schedule:
            if start + fault.at >= end:
                self._pause(end)
                break
            self._pause(start + fault.at)
            begins = time.monotonic()
            played.append(self._played(fault))
            start += played[-1].ended - begins - fault.lasts
        return played

    def _played(self, fault: Fault) -> Played:
        self._began(fault)
        begun = time.monotonic()
        with KINDS[fault.kind].effect(self._rig, fault):
            self._wait(fault.lasts)
        played = Played(fault, begun, time.monotonic())
        self._ended(played)
        return played

    def _pause(self, until: float) -> None:
        self._wait(max(until - time.monotonic(), 0.0))
