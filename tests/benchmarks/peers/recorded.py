"""A run of the peers as it could have been."""

from typing import Any

from tests.benchmarks.self.recorded import MACHINE, results

__all__ = ["record", "recorded"]


def record(
    title: str, *rounds: dict[str, Any], crosses: bool = True, errors: dict[str, str] | None = None
) -> Any:
    facts = {
        "title": title,
        "import_line": "import json",
        "versions": {"celery": "5.7.0"} if crosses else {},
        "crosses_machines": crosses,
        "survives_worker_death": "partly",
        "guarantee": f"What {title} does.",
        "configuration": "Defaults.",
        "documentation": "a page",
    }
    return {
        "facts": facts,
        "rounds": list(rounds),
        "errors": errors or {},
        "absent": {},
        "logs": {},
    }


def recorded() -> dict[str, Any]:
    """The library, a peer across machines, one on one machine, the floor, and one not installed."""
    ours = {
        "round_trip_p50": 0.0009,
        "submit_and_gather": 120_000.0,
        "map": 1_100_000.0,
        "payload": 0.05,
    }
    absent = {
        "facts": {},
        "rounds": [],
        "errors": {"start": "cannot be installed"},
        "absent": {},
        "logs": {},
    }
    return {
        "machine": MACHINE,
        "options": {"workers": 2, "rounds": 2, "seconds": 2.0, "small": False},
        "peers": {
            "distribute_challenge": record(
                "ours", ours, {**ours, "round_trip_p50": 0.0008, "start": 0.7}
            ),
            "distribute_challenge_tcp": record("ours over TCP", {"payload": 0.33}),
            "celery": record(
                "Celery",
                {
                    "round_trip_p50": 0.002,
                    "submit_and_gather": 600.0,
                    "other_ways": {"group": 500.0},
                },
                {"round_trip_p50": 0.003},
                errors={"map": "no answer within 60 s"},
            ),
            "arq": absent,
            "process_pool": record(
                "ProcessPool",
                {
                    "round_trip_p50": 0.0002,
                    "submit_and_gather": 10_000.0,
                    "shared_payload": 40.0,
                    "shared_payload_extrapolated": True,
                },
                crosses=False,
            ),
            "joblib": record("joblib", {"map": 250_000.0}, crosses=False),
            "bare_redis": record("bare Redis", {"round_trip_p50": 0.0001, "payload": 0.3}),
        },
        "self": results({}).as_json(),
    }
