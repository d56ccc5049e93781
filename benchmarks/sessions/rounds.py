"""Measures systems in rounds, A B C A B C, each in sessions of its own, and records the figures.

Guarantees:

- Every order to a session has a deadline. A system that hangs is killed when the deadline is over,
  and reported; later rounds leave out what hung.
- When a session has ended, none of its processes and files is left.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Self

from benchmarks.ports import free_port
from benchmarks.sessions.dialogue import Dialogue, SessionError
from benchmarks.sessions.entry import Entry
from benchmarks.sessions.environments import InstallationError, python_with
from benchmarks.sessions.processes import become_reaper, descendants, kill

__all__ = [
    "START_DEADLINE",
    "TOP",
    "Figures",
    "Plan",
    "Record",
    "Session",
    "run",
    "session_environment",
]

START_DEADLINE = 60.0  # Seconds; the slowest system takes a few.
STOP_DEADLINE = 20.0
LAST_LINES = 8  # Last lines of each log, kept when something fails.
TOP = Path(__file__).parents[2]
# Prefixes of environment variables with settings of the user's, which would change the figures.
CLEARED = (
    "CELERY_",
    "DISTRIBUTE_CHALLENGE_",
    "DASK_",
    "RAY_",
    "RQ_",
    "JOBLIB_",
    "LOKY_",
    "DRAMATIQ_",
    "PEERS_",
)

Record = dict[str, Any]
Figures = dict[str, Any]


def _nothing(record: Record, python: str) -> Figures:
    return {}


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        session: Module that runs in the process of a system, with the system's name and the number
            of workers as its arguments (`benchmarks.sessions.session`).
        groups: Names of measurements; those of one group share a session.
        deadline: Returns the seconds that a measurement has, by its name.
        order: What every order says beside the name of the measurement.
        afterwards: Takes further figures of a system whose session has ended. It gets the record
            and the path of the interpreter.
        absent: What a system, by its name, is not asked for: reasons by measurement.
    """

    session: str
    groups: Sequence[Sequence[str]]
    deadline: Callable[[str], float]
    order: Mapping[str, Any] = field(default_factory=dict)
    afterwards: Callable[[Record, str], Figures] = _nothing
    absent: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def run(
    entries: Sequence[Entry],
    plan: Plan,
    *,
    workers: int,
    rounds: int,
    redis_server: str,
    environments: Path,
    say: Callable[[str], None],
) -> dict[str, Record]:
    """Measure all systems.

    Args:
        entries: Systems to measure, in order.
        plan: What to measure.
        workers: Worker processes of each system.
        rounds: How often each system is measured.
        redis_server: Path of the server program for the systems that need one.
        environments: Folder for the environments of systems that need one of their own.
        say: Gets lines of text that tell the user how far the run is.

    Returns:
        For each system by name: ``facts``, ``rounds`` (figures by name, one dict for each round),
        ``errors`` (reasons by measurement), ``absent`` (what the system does not offer) and
        ``logs`` (last lines, if something failed).
    """
    become_reaper()
    records = {entry.name: _record(plan.absent.get(entry.name, {})) for entry in entries}
    interpreters = {
        entry.name: _interpreter(entry, environments, records[entry.name], say) for entry in entries
    }
    for number in range(1, rounds + 1):
        figures: dict[str, Figures] = {}
        for group, entry in product(plan.groups, entries):
            record = records[entry.name]
            python = interpreters[entry.name]
            # Without a first result, no session can measure anything.
            if python is None or "start" in record["errors"] or not _left(group, record):
                continue
            if entry.name not in figures:
                figures[entry.name] = {}
                record["rounds"].append(figures[entry.name])
            began = time.monotonic()
            figures[entry.name].update(
                _measured(entry.name, python, workers, redis_server, plan, group, record)
            )
            which = f", {', '.join(group)}" if len(plan.groups) > 1 else ""
            say(
                f"round {number}, {entry.name}{which}: {time.monotonic() - began:.0f} s"
                f"{_failures(record)}"
            )
    return records


def _record(absent: Mapping[str, str]) -> Record:
    return {"facts": {}, "rounds": [], "errors": {}, "absent": dict(absent), "logs": {}}


def _interpreter(
    entry: Entry, environments: Path, record: Record, say: Callable[[str], None]
) -> str | None:
    if not entry.requirements:
        return sys.executable
    say(f"{entry.name}: an environment of its own, with {', '.join(entry.requirements)}")
    try:
        return python_with(entry.name, entry.requirements, environments)
    except InstallationError as error:
        record["errors"]["start"] = f"cannot be installed: {error}"
        say(f"{entry.name}: {record['errors']['start']}")
        return None


def _left(group: Sequence[str], record: Record) -> list[str]:
    """Return the measurements that have not failed, and are not known to be absent."""
    return [name for name in group if name not in record["errors"] | record["absent"]]


def _measured(
    name: str,
    python: str,
    workers: int,
    redis_server: str,
    plan: Plan,
    group: Sequence[str],
    record: Record,
) -> Figures:
    """Take the measurements of one group in a new session."""
    figures: Figures = {}
    doing = "start"
    with Session(plan.session, name, python, workers, redis_server) as session:
        try:
            answer = session.ask({"do": "start"}, START_DEADLINE)
            record["facts"] = answer.get("facts", record["facts"])
            if "error" in answer:
                record["errors"]["start"] = answer["error"]
                record["logs"]["start"] = session.logs()
                return figures
            figures["start"] = answer["first_result"] - session.began
            for doing in _left(group, record):
                answer = session.ask({**plan.order, "do": doing}, plan.deadline(doing))
                figures.update(answer.get("figures", {}))
                if "absent" in answer:
                    record["absent"][doing] = answer["absent"]
                if "error" in answer:
                    record["errors"][doing] = answer["error"]
                    record["logs"][doing] = session.logs()
            doing = "stop"
            session.ask({"do": "stop"}, STOP_DEADLINE)
        except SessionError as error:
            record["errors"][doing] = str(error)
            record["logs"][doing] = session.logs()
    # A system whose process died at its start has told no facts.
    if record["facts"]:
        figures.update(plan.afterwards(record, python))
    return figures


def session_environment(folder: Path, python: str, redis_server: str) -> dict[str, str]:
    """Return the environment variables of a process that uses a system.

    They name the process's folder and a port of its own, and hold none of the user's settings.

    Args:
        folder: For all files of the process.
        python: Path of its interpreter.
        redis_server: Path of the server program, for `benchmarks.sessions.services`.
    """
    return {
        **{key: value for key, value in os.environ.items() if not key.upper().startswith(CLEARED)},
        "PYTHONPATH": str(TOP),
        # As in an activated environment: some systems start their programs by name.
        "PATH": os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)]),
        "PEERS_FOLDER": str(folder),
        "PEERS_REDIS_PORT": str(free_port()),
        "PEERS_REDIS_SERVER": redis_server,
        # Ray must not report the run to its vendor's servers.
        "RAY_USAGE_STATS_ENABLED": "0",
    }


class Session:
    """A process with one system, and a folder and a port for it; gone when the block ends.

    Args:
        module: Module that runs in the process.
        name: Name of the system.
        python: Path of the interpreter.
        workers: Number of worker processes.
        redis_server: Path of the server program.

    Attributes:
        began: When the process was started, in seconds since the epoch.
    """

    def __init__(
        self, module: str, name: str, python: str, workers: int, redis_server: str
    ) -> None:
        self._spared = descendants()
        self._folder = Path(tempfile.mkdtemp(prefix="peers-"))
        with (self._folder / "session.log").open("wb") as log:
            self.began = time.time()
            self._process = subprocess.Popen(
                [python, "-m", module, name, str(workers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                cwd=TOP,
                env=session_environment(self._folder, python, redis_server),
                start_new_session=True,
            )
        self._dialogue = Dialogue(self._process)
        self._ends_by_itself = False

    def ask(self, order: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Send an order and wait for its answer.

        Args:
            order: An order, as `benchmarks.sessions.session` describes it.
            deadline: Seconds to wait for the answer.

        Raises:
            SessionError: No answer within the deadline, or the process died.
        """
        answer = self._dialogue.ask(order, deadline)
        self._ends_by_itself = order["do"] == "stop"
        return answer

    def logs(self) -> dict[str, list[str]]:
        """Return the last lines of each log of the session, by the log's name."""
        return {
            path.stem: path.read_text(errors="replace").splitlines()[-LAST_LINES:]
            for path in sorted(self._folder.glob("*.log"))
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ends_by_itself:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_DEADLINE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        kill(self._spared)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _failures(record: Record) -> str:
    return "".join(f"; {what} failed: {why}" for what, why in record["errors"].items())
