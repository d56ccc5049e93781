"""What became of the calls: each ends as expected, or in an error that a fault excuses, or is lost."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.player import Played
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.calls import Ending, MistakeError, right
from benchmarks.rig.diary import Entry
from distribute_challenge.errors import WorkerLostError

__all__ = ["NO_FAULT", "Tally"]

AFTERWARDS = (
    30.0  # Seconds behind its end in which a fault still excuses errors: two leases, and some.
)
# Seconds that faults and runs are kept, so that an hour takes no more memory than ten minutes.
REMEMBERED = 300.0
SHOWN = 20  # Lost calls of which the report tells more than their number.
NO_FAULT = "no fault"


@dataclass(slots=True)
class _Open:
    """A call that has not ended."""

    ending: Ending
    since: float


@dataclass
class Tally:
    """Counts, under a lock: threads of clients tell what happens.

    Attributes:
        calls: Calls made.
        values: Right values.
        wrong: Wrong ones.
        errors: Errors by the name of their type, those too that calls are to end in.
        lost: Calls that ended in an error which nothing excuses.
        examples: The first of these and of the wrong values, in words.
        faults: Faults by kind.
        run_twice: Runs beyond the first by the fault that they followed, of calls that do not kill
            their process.
        recovery: Longest time from the end of a fault to the next value, in seconds, by its kind;
            of those that another fault did not come into.
        made_good: Longest time from the end of a fault until a call ended that was on its way when
            it began, and met no other.
    """

    calls: int = 0
    values: int = 0
    wrong: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    examples: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    run_twice: Counter[str] = field(default_factory=Counter)
    recovery: dict[str, float] = field(default_factory=dict)
    made_good: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._present: tuple[Fault, float] | None = None
        self._played: deque[Played] = deque()
        self._awaiting_value: list[Played] = []
        self._runs: dict[str, tuple[float, Ending | None]] = {}

    # --- calls

    def begin(self, call: str, ending: Ending) -> None:
        """A call is about to be made."""
        with self._lock:
            self.calls += 1
            self._open[call] = _Open(ending, time.monotonic())

    def end(self, call: str, outcome: Any) -> None:
        """A call has ended in a value or an exception."""
        with self._lock:
            now = time.monotonic()
            opened = self._open.pop(call, None)
            if opened is None:
                return  # It hangs, as `close` has said, and was ended by the end of its client.
            self._note_recovery(opened, outcome, now)
            if isinstance(outcome, BaseException):
                self._note_error(call, opened, outcome, now)
            elif opened.ending in ("value", "large") and outcome == right(call, opened.ending):
                self.values += 1
            else:
                self.wrong += 1
                self._show(f"{call}, which is to end in {opened.ending}, gave {outcome!r:.200}")

    @property
    def open(self) -> dict[str, float]:
        """Calls that have not ended, and since when, in seconds of the monotonic clock."""
        with self._lock:
            return {call: opened.since for call, opened in self._open.items()}

    def close(self) -> list[str]:
        """Wait for nothing more: the calls that have not ended, which hang."""
        with self._lock:
            hung = sorted(self._open)
            self._open.clear()
            return hung

    # --- faults

    def fault_begins(self, fault: Fault) -> None:
        """A fault is about to begin."""
        with self._lock:
            self.faults[fault.kind] += 1
            self._awaiting_value.clear()  # The next value may have to wait for this one's end.
            self._present = fault, time.monotonic()

    def fault_ended(self, played: Played) -> None:
        """It has been undone."""
        with self._lock:
            self._present = None
            self._played.append(played)
            self._awaiting_value.append(played)
            while self._played[0].ended < played.ended - REMEMBERED:
                self._played.popleft()

    # --- runs

    def ran(self, entry: Entry) -> None:
        """A call has begun on a worker."""
        with self._lock:
            opened = self._open.get(entry.call)
            _, ending = self._runs.get(entry.call, (0.0, None))
            if entry.call in self._runs:
                # A call that kills its process is begun three times.
                if ending not in ("exit", "kill"):
                    self.run_twice[self._fault_at(entry.time)] += 1
            elif opened is not None:
                ending = opened.ending
            self._runs.pop(entry.call, None)
            self._runs[entry.call] = entry.time, ending
            while next(iter(self._runs.values()))[0] < entry.time - REMEMBERED:
                del self._runs[next(iter(self._runs))]

    # --- under the lock

    def _note_recovery(self, opened: _Open, outcome: Any, now: float) -> None:
        met = [played for played in self._played if opened.since <= played.begun]
        if len(met) == 1 and self._present is None:
            _raise_to(self.made_good, met[0].fault.kind, now - met[0].ended)
        if not isinstance(outcome, BaseException):
            for played in self._awaiting_value:
                _raise_to(self.recovery, played.fault.kind, now - played.ended)
            self._awaiting_value.clear()

    def _note_error(self, call: str, opened: _Open, error: BaseException, now: float) -> None:
        name = type(error).__name__
        self.errors[name] += 1
        if opened.ending == "raise" and isinstance(error, MistakeError) and error.args == (call,):
            return
        if opened.ending in ("exit", "kill") and isinstance(error, WorkerLostError):
            return
        if not self._excused(name, opened.since, now):
            self.lost += 1
            self._show(
                f"{call}, which is to end in {opened.ending}, failed after "
                f"{now - opened.since:.1f} s: {error!r}"
            )

    def _excused(self, name: str, since: float, now: float) -> bool:
        if self._present is not None and name in KINDS[self._present[0].kind].excuses:
            return True
        return any(
            name in KINDS[played.fault.kind].excuses
            and played.begun <= now
            and played.ended + AFTERWARDS >= since
            for played in self._played
        )

    def _fault_at(self, when: float) -> str:
        """The last fault that had begun by then."""
        if self._present is not None and self._present[1] <= when:
            return self._present[0].kind
        return next(
            (each.fault.kind for each in reversed(self._played) if each.begun <= when), NO_FAULT
        )

    def _show(self, text: str) -> None:
        if len(self.examples) < SHOWN:
            self.examples.append(text)


def _raise_to(longest: dict[str, float], kind: str, seconds: float) -> None:
    longest[kind] = max(longest.get(kind, 0.0), seconds)
