"""Runs one peer in a process of its own, which the runner starts.

    python -m benchmarks.peers.session NAME WORKERS

Orders come as lines of JSON on standard input. The session answers each with a line of JSON on
standard output:

    {"do": "start"}                                {"facts": {...}, "first_result": 1700000000.0}
    {"do": "map", "seconds": 2}                    {"figures": {"map": 8700.0, ...}}
    {"do": "stop"}                                 {}

Guarantees:

- What peers print goes to standard error, never among the answers.
- When the runner is gone, standard input closes: all processes of this session are killed then,
  whatever the peer is doing.

This module imports little, as the time from the start of the process to the peer's first result is
one of the figures.
"""

import json
import os
import queue
import shutil
import sys
import threading
import time
from typing import Any

from benchmarks.peers.catalogue import load
from benchmarks.peers.measurements import MEASUREMENTS
from benchmarks.peers.processes import become_reaper, kill
from benchmarks.peers.services import FOLDER, Services

__all__ = ["main"]

Order = dict[str, Any]


def main(name: str, workers: int) -> None:
    """Carry out orders, until one says stop."""
    become_reaper()
    # Worker processes that are forked later must not write to the pipe of the answers, nor keep it
    # open when this process has ended.
    answers = os.dup(1)
    os.dup2(2, 1)
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    session = _Session(name, workers, Services())
    while True:
        order = orders.get()
        try:
            answer = session.obey(order)
        except NotImplementedError as error:
            answer = {"absent": str(error)}
        except Exception as error:
            sys.excepthook(type(error), error, error.__traceback__)
            answer = {"error": _text(error)}
        os.write(answers, json.dumps({**session.facts, **answer}).encode() + b"\n")
        if order["do"] == "stop":
            return


class _Session:
    def __init__(self, name: str, workers: int, services: Services) -> None:
        self.name = name
        self.workers = workers
        self.services = services
        self.peer: Any = None
        self.facts: dict[str, Any] = {}

    def obey(self, order: Order) -> dict[str, Any]:
        if order["do"] == "start":
            return self._start()
        if order["do"] == "stop":
            if self.peer is not None:
                self.peer.stop()
            self.services.stop()
            return {}
        return {"figures": MEASUREMENTS[order["do"]](self.peer, order["seconds"])}

    def _start(self) -> dict[str, Any]:
        kind = load(self.name)
        peer = kind(self.services)
        try:
            peer.start(self.workers)
            self.peer = peer
            result = peer.round_trip(7)
            first_result = time.time()
        finally:
            self.facts = {"facts": kind.facts()}
        if result != 7:
            raise AssertionError(f"the first call returned {result!r}, expected 7")
        return {"first_result": first_result}


def _read(orders: "queue.SimpleQueue[Order]") -> None:
    """Pass orders on; when the runner is gone, end all processes of the session."""
    # Not sys.stdin: a process forked from here would wait for the lock of its buffer.
    pending = b""
    while received := os.read(0, 65536):
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            orders.put(json.loads(line))
    kill(set())
    shutil.rmtree(FOLDER, ignore_errors=True)
    os._exit(1)


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
