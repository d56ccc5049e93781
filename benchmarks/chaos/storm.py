"""Load and faults at random for a while; then all is repaired, and all calls have to end."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.chaos.kinds import KINDS
from benchmarks.chaos.player import Player
from benchmarks.chaos.result import Result
from benchmarks.chaos.schedule import Fault, at_random
from benchmarks.chaos.tally import Tally
from benchmarks.chaos.traffic import Traffic
from benchmarks.rig.rig import Rig
from distribute_challenge.benchmarking.extra import Lazily
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

__all__ = ["Storm"]

psutil = Lazily("psutil")

LOOK_EVERY = 1.0  # Seconds between two readings of the diary.
SAY_EVERY = 60.0  # Seconds between two lines of progress.
HANGS_AFTER = 60.0  # Seconds after the last fault by which every call has to have ended.


class Storm:
    """One run of chaos.

    Args:
        folder: For all that its cluster writes.
        seconds: How long there are faults.
        seed: Of faults and load.
        workers: Workers, of one process each.
        kinds: Kinds of faults to draw from; those that this machine lacks something for do not
            happen.
        say: Gets a line of progress now and then.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float,
        seed: int,
        workers: int,
        kinds: Sequence[str] = tuple(KINDS),
        say: Callable[[str], None] = print,
    ) -> None:
        self._folder = folder
        self._seconds = seconds
        self._seed = seed
        self._workers = workers
        # All are drawn from, so that what this machine cannot do leaves the others at their times.
        drawn = at_random(seed, [(name, KINDS[name].lasts) for name in kinds])
        self._schedule: Iterable[Fault] = (
            fault for fault in drawn if not KINDS[fault.kind].lacks()
        )
        self._say = say
        self._tally = Tally()
        self._problems: list[str] = []
        self._over = threading.Event()
        self._memory: list[float] = []
        self._last_fault: Fault | None = None

    def run(self) -> Result:
        """Let it rage.

        Raises:
            ClusterStartError: The cluster does not come up, before any fault.
        """
        began, start = time.time(), time.monotonic()
        rig = Rig(self._folder, workers=self._workers)
        with rig, rig.as_client(), CeleryExecutionBackend(rig.client_url) as backend:
            self._rage(rig, backend)
            # Before the backend is closed, which ends whatever hangs.
            hung = self._tally.close()
        return Result(
            seed=self._seed,
            workers=self._workers,
            began=began,
            seconds=time.monotonic() - start,
            tally=self._tally,
            hung=hung,
            problems=self._problems,
            memory=self._memory,
        )

    def _rage(self, rig: Rig, backend: CeleryExecutionBackend) -> None:
        traffic = Traffic(
            backend, self._tally, diary=rig.diary.folder, seed=self._seed, workers=self._workers
        )
        watch = threading.Thread(target=self._watch, args=(rig,))
        watch.start()
        traffic.start()
        player = Player(
            rig, began=lambda fault: self._fault_begins(rig, fault), ended=self._tally.fault_ended
        )
        try:
            player.play(self._schedule, until=self._seconds)
        except (ClusterStartError, TimeoutError) as error:
            self._problems.append(
                f"the storm ended early, with {self._last_fault}, and what it had harmed was not "
                f"healed: {error}"
            )
        finally:
            traffic.stop()
            # After Ctrl+C, nothing is waited for.
            self._over.set()
        traffic.wait(HANGS_AFTER)
        watch.join()
        self._read(rig)

    def _fault_begins(self, rig: Rig, fault: Fault) -> None:
        self._last_fault = fault
        for worker in rig.workers:
            # Each fault puts back what it has taken away: who is missing now has gone by himself.
            if worker.code is not None:
                self._problems.append(
                    f"worker {worker.name} had ended by itself (exit code {worker.code}) before "
                    f"{fault}"
                )
                worker.start()
        for worker in rig.workers:
            # One that starts while Redis is away ends with an error, as it is to.
            worker.wait_until_ready()
        self._tally.fault_begins(fault)

    def _watch(self, rig: Rig) -> None:
        """Read the diary, and say how it goes."""
        start = said = time.monotonic()
        while not self._over.wait(LOOK_EVERY):
            self._read(rig)
            if time.monotonic() - said >= SAY_EVERY:
                said += SAY_EVERY
                self._note_progress(said - start)

    def _read(self, rig: Rig) -> None:
        for entry in rig.diary.read():
            self._tally.ran(entry)

    def _note_progress(self, seconds: float) -> None:
        tally = self._tally
        self._memory.append(psutil.Process().memory_info().rss / 1e6)
        oldest = max((time.monotonic() - since for since in tally.open.values()), default=0.0)
        self._say(
            f"{seconds / 60:.0f} min: {sum(tally.faults.values())} faults, {tally.calls} calls, "
            f"{tally.values} values, "
            f"{tally.errors.total()} errors, {tally.lost} lost, {tally.wrong} wrong, "
            f"oldest call on its way {oldest:.0f} s, {self._memory[-1]:.0f} MB"
        )
