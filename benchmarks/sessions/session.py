"""The process of one system: it carries out the orders that `rounds` sends.

``python -m benchmarks.peers.session NAME WORKERS`` is such a process. Orders come as lines of JSON
on standard input. The session answers each with a line of JSON on standard output:

    {"do": "start"}                                {"facts": {...}, "first_result": 1700000000.0}
    {"do": "map", "seconds": 2}                    {"figures": {"map": 8700.0, ...}}
    {"do": "stop"}                                 {}

An order that the system does not offer is answered with ``absent``, one that fails with ``error``.

Guarantees:

- What systems print goes to standard error, never among the answers.
- When the runner is gone, standard input closes: all processes of this session are killed then,
  whatever the system is doing.

This module imports little, as the time from the start of the process to the first result is one of
the figures.
"""

import json
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.sessions.entry import Entry
from benchmarks.sessions.processes import become_reaper, kill
from benchmarks.sessions.services import FOLDER, Services

__all__ = ["main"]

Order = dict[str, Any]

Measure = Callable[[Any, Order], dict[str, Any]]
"""Takes the system, which is started, and an order; returns figures by name."""


def main(entry: Entry, workers: int, measure: Measure) -> None:
    """Carry out orders, until one says stop.

    Args:
        entry: The system.
        workers: How many worker processes it gets.
        measure: Carries out all orders but ``start`` and ``stop``.
    """
    become_reaper()
    # Worker processes that are forked later must not write to the pipe of the answers, nor keep it
    # open when this process has ended.
    answers = os.dup(1)
    os.dup2(2, 1)
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    session = _Session(entry, workers, measure, Services())
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
    def __init__(self, entry: Entry, workers: int, measure: Measure, services: Services) -> None:
        self.entry = entry
        self.workers = workers
        self.measure = measure
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
        return {"figures": self.measure(self.peer, order)}

    def _start(self) -> dict[str, Any]:
        kind = self.entry.load()
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
