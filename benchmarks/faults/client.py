"""The client of one system, which the process of a row starts.

The command is ``python -m benchmarks.faults.client MODULE:CLASS OUTCOMES``. The client reads orders
from its standard input, one line of JSON each, and answers each with one line:

    {"do": "submit", "calls": [[number, function, arguments], ...]}      {}
    {"do": "submit_detached", "calls": [...]}                            {"names": {number: name}}
    {"do": "attach", "names": {number: name}}                            {}
    {"do": "cancel", "number": 0}                                        {}

or with ``{"absent": reason}``. Between orders it finds the calls that are done, and appends a line
for each to the file of outcomes. So the outcomes that it had are known even if it is killed, hangs
or crashes. It ends when its standard input ends.
"""

import json
import os
import select
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.faults import functions
from benchmarks.faults.adapters.base import Adapter

__all__ = ["main"]

LOOK_EVERY = 0.02  # Seconds between two looks at the calls.

Order = dict[str, Any]


def main(place: str, outcomes: Path) -> None:
    """Carry out orders until standard input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # What the system prints must not be taken for an answer.
    module, _, name = place.partition(":")
    kind: type[Adapter] = getattr(import_module(module), name)
    client = Client(kind(), outcomes)
    versions = {package: version(package) for package in kind.packages}
    os.write(answers, json.dumps({"versions": versions}).encode() + b"\n")
    received = b""
    while True:
        if select.select([0], [], [], LOOK_EVERY)[0]:
            if not (chunk := os.read(0, 65536)):
                os._exit(0)  # Without waiting for what the system does at exit.
            *lines, received = (received + chunk).split(b"\n")
            for line in lines:
                os.write(answers, json.dumps(client.obey(json.loads(line))).encode() + b"\n")
        client.look()


class Client:
    """Makes calls as it is told, and records their outcomes.

    Args:
        adapter: Makes calls of the system.
        outcomes: File to which each outcome is appended.
    """

    def __init__(self, adapter: Adapter, outcomes: Path) -> None:
        self._adapter = adapter
        self._outcomes = outcomes
        self._calls: dict[int, Any] = {}
        self._pending: set[int] = set()

    def obey(self, order: Order) -> dict[str, Any]:
        """Carry out one order, and return the answer."""
        try:
            if order["do"] == "submit":
                for number, function, arguments in order["calls"]:
                    self._submit(number, function, arguments)
            elif order["do"] == "submit_detached":
                return {
                    "names": {
                        number: self._adapter.submit_detached(
                            getattr(functions, function), arguments
                        )
                        for number, function, arguments in order["calls"]
                    }
                }
            elif order["do"] == "attach":
                for number, name in order["names"].items():
                    self._calls[int(number)] = self._adapter.attach(name)
                    self._pending.add(int(number))
            else:
                self._adapter.cancel(self._calls[order["number"]])
        except NotImplementedError as error:
            return {"absent": str(error)}
        return {}

    def look(self) -> None:
        """Record the outcomes of calls that have ended since the last look."""
        for number in sorted(self._pending):
            call = self._calls[number]
            try:
                if not self._adapter.is_done(call):
                    continue
            except Exception as error:
                # The system cannot say at this moment; the call may still end.
                print(f"call {number}: {error!r}", file=sys.stderr, flush=True)
                continue
            self._pending.discard(number)
            try:
                self._write(number, value=self._adapter.result(call))
            except BaseException as error:  # Cancelled futures may raise no `Exception`.
                self._fail(number, error)

    def _submit(self, number: int, function: str, arguments: list[Any]) -> None:
        try:
            self._calls[number] = self._adapter.submit(getattr(functions, function), arguments)
        except Exception as error:
            self._fail(number, error)
        else:
            self._pending.add(number)

    def _fail(self, number: int, error: BaseException) -> None:
        self._write(number, error=type(error).__name__, text=str(error))

    def _write(self, number: int, **outcome: Any) -> None:
        with self._outcomes.open("a") as file:
            file.write(json.dumps({"number": number, "time": time.time(), **outcome}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
