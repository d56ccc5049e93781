"""A system of files that needs nothing installed, and rows of it.

It has a folder of calls, which workers take by renaming them: what a worker had taken when it died
is gone. ``python -m tests.benchmarks.faults.fakes`` makes rows of it, and prints as JSON what the
runner found.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults import catalogue, functions, row, runner, stage
from benchmarks.faults.adapters.base import Adapter
from benchmarks.faults.deployments import Deployment
from benchmarks.faults.systems import System
from benchmarks.sessions.processes import become_reaper, descendants
from benchmarks.sessions.services import FOLDER
from tests.processes import wait_until

__all__ = ["RUN", "Files"]

NAME = "tests.benchmarks.faults.fakes"
RUN = ("-m", NAME)
QUEUE, TAKEN, DONE = (FOLDER / name for name in ("queue", "taken", "done"))
# Seconds for outcomes here: those that come take a tenth of that, unless the machine is busy.
PATIENCE = 10.0


class Files(Adapter):
    """The client's side."""

    def submit(self, function: Callable[..., int], arguments: list[Any]) -> Any:
        name = f"{arguments[1] + 1000:04}"
        _write(QUEUE / name, [function.__name__, *arguments])
        return name

    def is_done(self, call: Any) -> bool:
        return (DONE / call).exists()

    def result(self, call: Any) -> int:
        return int((DONE / call).read_text())

    def submit_detached(self, function: Callable[..., int], arguments: list[Any]) -> str:
        return str(self.submit(function, arguments))

    def attach(self, name: str) -> Any:
        return name


class FilesDeployment(Deployment):
    """Its programs."""

    def middle(self) -> list[str]:
        return [self.python, *RUN, "middle"]

    def is_up(self) -> bool:
        return QUEUE.exists()

    def worker(self, number: int) -> list[str]:
        return [self.python, *RUN, "worker"]


class DeadDeployment(FilesDeployment):
    """Its middle dies at its start."""

    def middle(self) -> list[str]:
        return [self.python, "-c", "print('no room'); raise SystemExit(3)"]


class SlowDeployment(FilesDeployment):
    """Its middle never answers."""

    def is_up(self) -> bool:
        return False


ADAPTER = f"{NAME}:Files"
SYSTEMS = {
    "files": System("files", "Files", ADAPTER, FilesDeployment, "Defaults."),
    "dead": System("dead", "Dead", ADAPTER, DeadDeployment, "Defaults."),
    "uninstallable": System(
        "uninstallable", "None", ADAPTER, FilesDeployment, "Defaults.", ("./no-such-folder",)
    ),
}
SLOW = System("slow", "Slow", ADAPTER, SlowDeployment, "Defaults.")


def _write(path: Path, value: Any) -> None:
    """Write a file in one step, so that a reader sees all of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(value))
    part.rename(path)


def _work() -> None:
    pause = threading.Event()
    while True:
        for path in sorted(QUEUE.glob("[0-9]*")) if QUEUE.exists() else []:
            try:
                taken = path.rename(TAKEN / path.name)
            except FileNotFoundError:
                continue
            name, *arguments = json.loads(taken.read_text())
            _write(DONE / path.name, getattr(functions, name)(*arguments))
            break
        pause.wait(0.005)


def _middle() -> None:
    for folder in (TAKEN, DONE, QUEUE):
        folder.mkdir(exist_ok=True)
    threading.Event().wait()


def _patch() -> None:
    """Short times, in the process of a row."""
    row.SYSTEMS = {**SYSTEMS, "slow": SLOW}
    catalogue.CALL, catalogue.FROZEN, catalogue.DOWN, catalogue.SLOT_DEADLINE = 0.05, 0.3, 0.1, 0.5
    stage.PATIENCE, stage.LINGER = PATIENCE, 0.0


def _interrupted(faults: list[Any], options: dict[str, Any]) -> float:
    """Seconds after which the runner gives up. A timer interrupts it after one."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 1)
    with contextlib.suppress(KeyboardInterrupt):
        runner.run([SLOW], faults[:2], seconds=120, **{**options, "at_once": 1})
    return time.monotonic() - began


def _described(pid: int) -> str:
    """A process, for a failure that says which one is left."""
    process = psutil.Process(pid)
    return f"{pid} ({process.status()}): {' '.join(process.cmdline())}"


def _run_all() -> None:
    runner.ROW = NAME
    become_reaper()
    said: list[str] = []
    options: dict[str, Any] = {"at_once": 2, "redis_server": "not used", "say": said.append}
    faults = list(catalogue.FAULTS.values())
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        options["environments"] = Path(folder) / "environments"
        rows = runner.run([SYSTEMS["files"]], faults, seconds=120, **options)
        rows += runner.run(
            [SYSTEMS["dead"], SYSTEMS["uninstallable"]], faults[:1], seconds=120, **options
        )
        rows += runner.run([SLOW], faults[:1], seconds=3, **options)
        rows += runner.run([SYSTEMS["files"]], faults[:1], seconds=0, **options)
        rows += runner.run(
            [System("unknown", "", "", FilesDeployment, "")], faults[:1], seconds=120, **options
        )
        interrupted = _interrupted(faults, options)
        # What was killed takes a moment to end.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not descendants())
        left = [*map(_described, descendants()), *map(str, Path(folder).glob("faults-*"))]
    print(json.dumps({"rows": rows, "said": said, "left": left, "interrupted": interrupted}))


if __name__ == "__main__":
    if sys.argv[1:] == ["middle"]:
        _middle()
    elif sys.argv[1:] == ["worker"]:
        _work()
    elif sys.argv[1:]:
        _patch()
        row.main(*sys.argv[1:])
    else:
        _run_all()
