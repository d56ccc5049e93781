"""Makes the rows, a few at a time, each in a process and a folder of its own.

Guarantees:

- It ends when its time is up. Rows that are being made are ended then, and they and those that were
  not begun are reported as failed.
- When a row has been made, none of its processes and files is left.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.faults.catalogue import Fault
from benchmarks.faults.systems import System
from benchmarks.sessions.environments import InstallationError, python_with
from benchmarks.sessions.rounds import TOP, session_environment

__all__ = ["run"]

ROW = "benchmarks.faults.row"  # Module that runs in the process of a row.
LOOK_EVERY = 0.1  # Seconds between two checks whether a row is made.
END_DEADLINE = 20.0  # Seconds for a row to end what it started.

Row = dict[str, Any]


def run(
    systems: Sequence[System],
    faults: Sequence[Fault],
    *,
    at_once: int,
    seconds: float,
    environments: Path,
    redis_server: str,
    say: Callable[[str], None],
) -> list[Row]:
    """Make all rows.

    Args:
        systems: Systems to put under faults.
        faults: Faults to inject.
        at_once: How many rows are made at the same time; a row waits most of its time.
        seconds: Time for all rows, in seconds, without that for installing systems.
        environments: Folder for the environments of systems that need one of their own.
        redis_server: Path of the server program.
        say: Gets lines of text that tell the user how far the run is.

    Returns:
        For each fault and system: ``fault`` and ``system`` (names), ``took`` (seconds), ``logs``
        (last lines of each program), ``versions``, and ``found`` (as
        `benchmarks.faults.found.Found`), ``absent`` or ``failed`` (the reason).
    """
    interpreters = {system.name: _interpreter(system, environments, say) for system in systems}
    end, stopped = time.monotonic() + seconds, threading.Event()

    def make(fault: Fault, system: System) -> Row:
        began = time.monotonic()
        python, failure = interpreters[system.name]
        row: Row = (
            {"failed": failure}
            if failure
            else _row(fault.name, system.name, python, end, stopped, redis_server)
        )
        row = {
            "fault": fault.name,
            "system": system.name,
            "took": round(time.monotonic() - began, 1),
            **row,
        }
        say(f"{fault.name}, {system.name}: {row['took']:.0f} s{_failure(row)}")
        return row

    pairs = [
        (fault, system) for fault in faults for system in systems if fault.befalls(system.name)
    ]
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(make, *pair) for pair in pairs]
        try:
            return [future.result() for future in futures]
        finally:
            stopped.set()  # After Ctrl+C, so that the rows that are left end at once.


def _interpreter(system: System, environments: Path, say: Callable[[str], None]) -> tuple[str, str]:
    """Return the path of the system's interpreter and "", or "" and why there is none."""
    if not system.requirements:
        return sys.executable, ""
    say(f"{system.name}: an environment of its own, with {', '.join(system.requirements)}")
    try:
        return python_with(f"faults-{system.name}", system.requirements, environments), ""
    except InstallationError as error:
        return "", f"cannot be installed: {error}"


def _row(
    fault: str, system: str, python: str, end: float, stopped: threading.Event, redis_server: str
) -> Row:
    if time.monotonic() > end or stopped.is_set():
        return {"failed": "not begun: the time was up"}
    # A short name: Ray's sockets lie below it, and their paths must fit into a hundred bytes.
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    with (folder / "row.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", ROW, system, fault, python],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=TOP,
            env=session_environment(folder, python, redis_server),
        )
    try:
        while process.poll() is None and time.monotonic() < end and not stopped.wait(LOOK_EVERY):
            pass
        if process.returncode is None:
            return {"failed": "not finished: the time was up"}
        row: Row = json.loads((folder / "row.json").read_text())
    except OSError:
        last = (folder / "row.log").read_text(errors="replace").strip().splitlines()[-1:] or [
            "it said nothing"
        ]
        return {"failed": f"the row's process ended with exit code {process.returncode}: {last[0]}"}
    finally:
        _end(process)
        shutil.rmtree(folder, ignore_errors=True)
    return row


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()  # The process ends what it started, and then itself.
    try:
        process.wait(END_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _failure(row: Row) -> str:
    return f"; {row['failed']}" if "failed" in row else ""
