"""Systems that need nothing installed; run ``python -m tests.benchmarks.graph.fakes NAME WORKERS``.

``python -m tests.benchmarks.graph.fakes`` runs all of them, and prints as JSON what the runner
found.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.graph import functions
from benchmarks.graph import plan as planning
from benchmarks.graph.base import GraphPeer
from benchmarks.graph.measurements import chosen
from benchmarks.graph.session import measure
from benchmarks.sessions import rounds, session
from benchmarks.sessions.entry import Entry
from tests.benchmarks.peers import fakes as peers

__all__ = ["MEASURED", "RUN", "Inline"]

RUN = ("-m", "tests.benchmarks.graph.fakes")
MEASURED = ("chain", "rows", "nodes")


class Inline(GraphPeer, peers.Working):
    """Calls functions where they are submitted: a future is the value."""

    title = "Inline"

    def submit(self, function: str, *arguments: Any) -> Any:
        return getattr(functions, function)(*arguments)

    def results(self, futures: Sequence[Any]) -> list[Any]:
        return list(futures)

    def chain_at_once(self, calls: int) -> int:
        return calls


class Failing(Inline):
    """Counts wrong, and ends its process when it is asked for many chains."""

    title = "Failing"

    def submit(self, function: str, *arguments: Any) -> Any:
        return 0

    def chains_at_once(self, chains: int, calls: int) -> int:
        os._exit(7)


SYSTEMS = {"inline": Inline, "failing": Failing}


def _entry(name: str) -> Entry:
    return Entry(name, f"{RUN[1]}:{SYSTEMS[name].__name__}")


def _run_all() -> None:
    planning.SESSION = RUN[1]
    rounds.START_DEADLINE = rounds.STOP_DEADLINE = 60.0
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        records = rounds.run(
            [_entry(name) for name in SYSTEMS],
            planning.plan(chosen(MEASURED), quick=True),
            workers=1,
            rounds=2,
            redis_server="not used",
            environments=Path(folder),
            say=said.append,
        )
    print(json.dumps({"records": records, "said": said}))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        _run_all()
    else:
        session.main(_entry(sys.argv[1]), int(sys.argv[2]), measure)
