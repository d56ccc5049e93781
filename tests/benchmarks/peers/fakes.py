"""Peers that need nothing installed; run ``python -m tests.benchmarks.peers.fakes NAME WORKERS``.

``python -m tests.benchmarks.peers.fakes`` runs all of them, and prints as JSON what the runner
found.
"""

import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.peers import plan as planning
from benchmarks.peers.base import Peer
from benchmarks.peers.measurements import MEASUREMENTS
from benchmarks.peers.session import measure
from benchmarks.sessions import rounds, session
from benchmarks.sessions.entry import Entry

__all__ = ["HANGS_AFTER", "PEERS", "RUN", "SECONDS", "Working"]

HANGS_AFTER = 5.0  # Seconds that a session has for an answer here; it takes hundredths.
SECONDS = 0.01  # Seconds that a measurement should last.
RUN = ("-m", "tests.benchmarks.peers.fakes")


class Working(Peer):
    """Calls functions where it is asked to; has no shared values."""

    title = "Working"
    import_line = "import json"
    crosses_machines = False
    survives_worker_death = "no"
    guarantee = "None."
    configuration = "Defaults."
    documentation = "this file"

    def start(self, workers: int) -> None:
        print("what peers print is no answer")
        self.workers = workers

    def round_trip(self, value: int) -> int:
        return value

    def submit_and_gather(self, calls: int) -> int:
        return sum(range(calls))

    def map(self, calls: int) -> int:
        return sum(range(calls))

    def other_ways(self) -> Any:
        return {"backwards": lambda calls: sum(reversed(range(calls)))}

    def payload(self, array: Any) -> Any:
        raise ValueError("too large\nfor this one")


class Wrong(Working):
    """Returns something else than it was asked for."""

    title = "Wrong"

    def round_trip(self, value: int) -> int:
        return value + 1


class Dying(Working):
    """Ends its process at its start, having said something."""

    title = "Dying"

    def start(self, workers: int) -> None:
        print("I am about to die", flush=True)
        os._exit(7)


class Hanging(Working):
    """Does not come back from many calls, and leaves a program running."""

    title = "Hanging"

    def start(self, workers: int) -> None:
        self.services.start_python("left", "-c", "import threading; threading.Event().wait()")

    def submit_and_gather(self, calls: int) -> int:
        threading.Event().wait()
        return 0


PEERS = {"working": Working, "wrong": Wrong, "dying": Dying, "hanging": Hanging}
UNINSTALLABLE = Entry("uninstallable", "", ("./no-such-folder",))


def _run_all() -> None:
    planning.SESSION = RUN[1]
    rounds.START_DEADLINE = rounds.STOP_DEADLINE = 60.0
    planning.MEASURE_DEADLINE = HANGS_AFTER
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        records = rounds.run(
            [UNINSTALLABLE, *(Entry(name, "") for name in PEERS)],
            planning.plan(list(MEASUREMENTS), seconds=SECONDS),
            workers=3,
            rounds=2,
            redis_server="not used",
            environments=Path(folder),
            say=said.append,
        )
    left = [pid for pid in rounds.descendants() if pid != os.getpid()]
    print(json.dumps({"records": records, "said": said, "left": left}))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        _run_all()
    else:
        place = f"{RUN[1]}:{PEERS[sys.argv[1]].__name__}"
        session.main(Entry(sys.argv[1], place), int(sys.argv[2]), measure)
