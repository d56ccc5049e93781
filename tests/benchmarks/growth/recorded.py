"""A run as it could have been measured."""

from dataclasses import asdict
from typing import Any

from benchmarks.growth.measuring import Figures
from benchmarks.growth.standing import SETTINGS, Standing, StandingSetting
from benchmarks.growth.sweeps import Setting
from tests.benchmarks.self.recorded import MACHINE


def figures(
    calls: int = 10_000,
    *,
    seconds: float = 2.0,
    cores: int = 2,
    p50: float = 0.001,
    **busy: float,
) -> dict[str, Any]:
    """Figures in which the client is busy for half of the time, and all others hardly."""
    found = {"client": seconds / 2, "main": 0.1, "child": 0.2, "redis": 0.05, "others": 0.0, **busy}
    return asdict(
        Figures(
            calls=calls,
            seconds=seconds,
            p50=p50,
            p99=2 * p50,
            busy=found,
            busiest={"client": found["client"], "child": found["child"] / 2},
            cores=cores,
            processes={"client": 1, "child": 2},
            commands=11 * calls,
            received=5_000 * calls,
            sent=2_000 * calls,
        )
    )


def point(value: int, setting: Setting, **options: Any) -> dict[str, Any]:
    return {"value": value, "setting": asdict(setting), **options}


def standing(setting: StandingSetting) -> Standing:
    """What a cluster asks if 1 worker has 10 connections, 1 child 2, 1 client 3, and so on."""
    workers, clients = setting.workers, setting.clients
    children = workers * setting.children
    return Standing(
        connections=10 * workers + 2 * children + 3 * clients,
        commands=7 * workers + 6 * clients,
        received=1_500 * workers + 500 * clients,
        sent=100 * workers + 50 * clients + 400 * workers * clients,
    )


SEARCH = [
    {"messages": 1_000, "bytes": 2_000, "microseconds": 10.0, "ask": 0.5, "most": 1_000},
    {"messages": 100_000, "bytes": 2_000, "microseconds": 5_000.0, "ask": 1.0, "most": 1_000},
]


def recorded(**changes: Any) -> dict[str, Any]:
    sweeps = {
        "workers": [
            point(1, Setting(workers=1), alone=figures(1_000), loaded=figures()),
            point(64, Setting(workers=64), why_not="FAILED: it hung"),
            point(32, Setting(workers=32), alone=figures(1_000), loaded=figures(90_000)),
        ],
        "size": [
            point(size, Setting(size=size), alone=figures(p50=0.2), loaded=figures(100, redis=2.0))
            for size in (1, 1_000, 10**9)
        ],
    }
    return {
        "machine": {**MACHINE, "load_average_after": 0.2},
        "revision": "abc",
        "options": {"workers": 2, "seconds": 5.0, "quick": False},
        "sweeps": sweeps,
        "standing": [
            {"setting": asdict(setting), "figures": asdict(standing(setting))}
            for setting in SETTINGS
        ],
        "search": SEARCH,
        **changes,
    }
