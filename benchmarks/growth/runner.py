"""Takes the figures of all values, each in a session of its own."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import psutil

from benchmarks.growth.report import value_text
from benchmarks.growth.standing import SETTINGS, StandingSetting
from benchmarks.growth.sweeps import Setting, Sweep
from benchmarks.machine import describe_machine
from benchmarks.programs import SessionError, printed_json
from benchmarks.self.results import revision
from distribute_challenge.core.units import memory

__all__ = ["run"]

SESSION = "benchmarks.growth.session"
DEADLINE = 300.0  # Seconds for a session, beside those of its loads.
SEARCHED = (1_000, 10_000, 100_000)  # Messages in a queue that is searched,
SEARCHED_QUICKLY = (100, 1_000)  # and with the values that are quick.
SLOWEST = 2_000  # Calls a second at which a client can be relied on to make and end calls.

Say = Callable[[str], None]


def run(
    sweeps: Sequence[Sweep],
    *,
    workers: int,
    seconds: float,
    quick: bool,
    standing: float | None,
    say: Say,
) -> dict[str, Any]:
    """Take the figures of all values once.

    Args:
        sweeps: What grows.
        workers: Worker processes, where they are not what grows.
        seconds: How long each load lasts, at least.
        quick: Take the few values for that.
        standing: How long to watch each cluster that has nothing to do, in seconds; None: do not.
        say: Gets lines of text that tell the user how far the run is.

    Returns:
        Everything as plain values, for JSON.
    """
    found: dict[str, Any] = {
        "machine": describe_machine(),
        "revision": revision(),
        "options": {"workers": workers, "seconds": seconds, "quick": quick},
        "sweeps": {},
        "standing": [],
        "search": [],
    }
    for sweep in sweeps:
        points = found["sweeps"][sweep.name] = []
        for value in sweep.quick if quick else sweep.values:
            began = time.monotonic()
            point = _point(sweep, value, workers, seconds)
            points.append(point)
            text = f"{sweep.axis} {value_text(sweep, value)}: {time.monotonic() - began:.0f} s"
            say(f"{text}; {point['why_not']}" if "why_not" in point else text)
    if standing is not None:
        for setting in SETTINGS:
            figures = _asked("standing", setting, standing)
            found["standing"].append({"setting": asdict(setting), "figures": figures})
            say(f"{setting}: {figures['connections']} connections")
        for messages in SEARCHED_QUICKLY if quick else SEARCHED:
            searched = printed_json(
                SESSION, ["search", json.dumps({"messages": messages})], DEADLINE
            )
            found["search"].append(searched)
            say(f"a queue of {messages:,} messages: {searched['microseconds']:.0f} µs a look")
    found["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    return found


def _point(sweep: Sweep, value: int, workers: int, seconds: float) -> dict[str, Any]:
    """Take the figures of one value, or say why there are none."""
    setting = sweep.setting(value, workers)
    point: dict[str, Any] = {"value": value, "setting": asdict(setting)}
    available = psutil.virtual_memory().available
    if setting.memory > available:
        needed = f"it takes about {memory(setting.memory)} of memory"
        return point | {"why_not": f"left out: {needed}, and {memory(available)} are free"}
    try:
        point |= _asked("load", setting, seconds, by_one=sweep.by_one)
    except SessionError as error:
        point["why_not"] = f"FAILED: {error}"
    return point


def _asked(kind: str, setting: Setting | StandingSetting, seconds: float, **others: Any) -> Any:
    said = {"setting": asdict(setting), "seconds": seconds, **others}
    filling = setting.clients * setting.in_flight / SLOWEST if isinstance(setting, Setting) else 0
    return printed_json(SESSION, [kind, json.dumps(said)], DEADLINE + 4 * seconds + filling)
