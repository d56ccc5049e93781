"""Runs the peers in rounds, A B C A B C, each in a session of its own, and records the figures.

Guarantees:

- Every order to a session has a deadline. A peer that hangs is killed when the deadline is over,
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
from pathlib import Path
from typing import Any, Self

from benchmarks.peers.catalogue import Entry
from benchmarks.peers.dialogue import Dialogue, SessionError
from benchmarks.peers.environments import InstallationError, python_with
from benchmarks.peers.measurements import MEASUREMENTS
from benchmarks.peers.processes import become_reaper, descendants, kill
from benchmarks.ports import free_port

__all__ = ["Session", "run", "session_environment"]

START_DEADLINE = 60.0  # Seconds; the slowest peer takes a few.
MEASURE_DEADLINE = 60.0  # Seconds beyond those that a measurement should last.
STOP_DEADLINE = 20.0
LAST_LINES = 8  # Last lines of each log, kept when something fails.
TOP = Path(__file__).parents[2]
SESSION = "benchmarks.peers.session"  # Module that runs in the process of a peer.
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


def run(
    entries: Sequence[Entry],
    *,
    workers: int,
    rounds: int,
    seconds: float,
    redis_server: str,
    environments: Path,
    say: Callable[[str], None],
) -> dict[str, Record]:
    """Measure all peers.

    Args:
        entries: Peers to measure, in order.
        workers: Worker processes of each peer.
        rounds: How often each peer is measured.
        seconds: How long one measurement should last, in seconds.
        redis_server: Path of the server program for the peers that need one.
        environments: Folder for the environments of peers that need one of their own.
        say: Gets lines of text that tell the user how far the run is.

    Returns:
        For each peer by name: ``facts``, ``rounds`` (figures by name, one dict for each round),
        ``errors`` (reasons by measurement), ``absent`` (what the peer does not offer) and ``logs``
        (last lines, if something failed).
    """
    become_reaper()
    records: dict[str, Record] = {
        entry.name: {"facts": {}, "rounds": [], "errors": {}, "absent": {}, "logs": {}}
        for entry in entries
    }
    interpreters = {
        entry.name: _interpreter(entry, environments, records[entry.name], say) for entry in entries
    }
    for number in range(1, rounds + 1):
        for entry in entries:
            record = records[entry.name]
            python = interpreters[entry.name]
            # Without a first result, no round can measure anything.
            if python is None or "start" in record["errors"]:
                continue
            began = time.monotonic()
            record["rounds"].append(
                _one_round(entry.name, python, workers, seconds, redis_server, record)
            )
            say(
                f"round {number}, {entry.name}: {time.monotonic() - began:.0f} s{_failures(record)}"
            )
    return records


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


def _one_round(
    name: str, python: str, workers: int, seconds: float, redis_server: str, record: Record
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    doing = "start"
    with Session(name, python, workers, redis_server) as session:
        try:
            answer = session.ask({"do": "start"}, START_DEADLINE)
            record["facts"] = answer.get("facts", record["facts"])
            if "error" in answer:
                record["errors"]["start"] = answer["error"]
                record["logs"]["start"] = session.logs()
                return figures
            figures["start"] = answer["first_result"] - session.began
            for doing in MEASUREMENTS:
                if doing in record["errors"] or doing in record["absent"]:
                    continue
                answer = session.ask({"do": doing, "seconds": seconds}, MEASURE_DEADLINE + seconds)
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
    # A peer whose process died at its start has told no facts.
    if record["facts"]:
        with contextlib.suppress(subprocess.SubprocessError, ValueError):
            figures["import"] = _import_seconds(record["facts"]["import_line"], python)
    return figures


def session_environment(folder: Path, python: str, redis_server: str) -> dict[str, str]:
    """Return the environment variables of a process that uses a peer.

    They name the process's folder and a port of its own, and hold none of the user's settings.

    Args:
        folder: For all files of the process.
        python: Path of its interpreter.
        redis_server: Path of the server program, for `benchmarks.peers.services`.
    """
    return {
        **{key: value for key, value in os.environ.items() if not key.upper().startswith(CLEARED)},
        "PYTHONPATH": str(TOP),
        # As in an activated environment: some peers start their programs by name.
        "PATH": os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)]),
        "PEERS_FOLDER": str(folder),
        "PEERS_REDIS_PORT": str(free_port()),
        "PEERS_REDIS_SERVER": redis_server,
        # Ray must not report the run to its vendor's servers.
        "RAY_USAGE_STATS_ENABLED": "0",
    }


class Session:
    """A process with one peer, and a folder and a port for it; gone when the block ends.

    Attributes:
        began: When the process was started, in seconds since the epoch.
    """

    def __init__(self, name: str, python: str, workers: int, redis_server: str) -> None:
        self._spared = descendants()
        self._folder = Path(tempfile.mkdtemp(prefix="peers-"))
        with (self._folder / "session.log").open("wb") as log:
            self.began = time.time()
            self._process = subprocess.Popen(
                [python, "-m", SESSION, name, str(workers)],
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
            order: An order, as `benchmarks.peers.session` describes it.
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


def _import_seconds(line: str, python: str) -> float:
    """Return the seconds that the peer's import takes in a fresh interpreter."""
    code = f"import time; began = time.perf_counter(); {line}; print(time.perf_counter() - began)"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, timeout=START_DEADLINE, check=True
    )
    return float(done.stdout)


def _failures(record: Record) -> str:
    return "".join(f"; {what} failed: {why}" for what, why in record["errors"].items())
