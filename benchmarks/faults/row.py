"""The process of one row, which the runner starts.

The command is ``python -m benchmarks.faults.row SYSTEM FAULT PYTHON``. The process sets the system
up, injects the fault, and writes what it found to ``row.json``.

Guarantees: when the process ends, nothing that it started is left. It also ends when its standard
input does, as the runner is gone then.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.stage import AbsentError, Stage, StageError
from benchmarks.faults.systems import SYSTEMS
from benchmarks.sessions.processes import become_reaper, kill
from benchmarks.sessions.services import FOLDER

__all__ = ["main"]

LAST_LINES = 15  # Last lines of each log, for the record.


def main(system: str, fault: str, python: str) -> None:
    """Make one row, and write it to ``row.json``."""
    become_reaper()
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_tell_when_the_runner_is_gone, daemon=True).start()
    try:
        try:
            row = _row(system, fault, python)
            row["logs"] = {path.stem: _last_lines(path) for path in sorted(FOLDER.glob("*.log"))}
        finally:
            kill(set())
    except _RunnerGoneError:
        kill(set())  # The signal may have come while the first one ran.
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    (FOLDER / "row.json").write_text(json.dumps(row))


def _row(system: str, fault: str, python: str) -> dict[str, Any]:
    try:
        stage = Stage(SYSTEMS[system], python, FAULTS[fault].workers)
    except StageError as error:
        return {"failed": f"did not start: {error}"}
    try:
        return {"versions": stage.versions, "found": FAULTS[fault].inject(stage).as_json()}
    except AbsentError as error:
        return {"versions": stage.versions, "absent": str(error)}
    except StageError as error:
        return {"versions": stage.versions, "failed": str(error)}


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LAST_LINES:]


class _RunnerGoneError(BaseException):
    """Raised in the main thread."""


def _leave(number: int, frame: object) -> None:
    raise _RunnerGoneError


def _tell_when_the_runner_is_gone() -> None:
    while os.read(0, 100):
        pass
    # Not from this thread: while it killed what there is, the main thread could start more.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
