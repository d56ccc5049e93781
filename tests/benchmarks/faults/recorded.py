"""A run of the faults as it could have been."""

from typing import Any

from benchmarks.faults.found import Found
from tests.benchmarks.self.recorded import MACHINE

__all__ = ["recorded"]


def recorded() -> dict[str, Any]:
    """Ours and Celery, one that did not start, and one that does not offer it."""
    killed = Found(
        100,
        98,
        1,
        {"WorkerLostError": 1},
        {"WorkerLostError": f"died |\n{'x' * 300}"},
        repeated=1,
        most=2,
        seconds=3.14159,
    )
    hung = Found(
        100,
        97,
        lost=2,
        hung=1,
        repeated=1,
        most=21,
        seconds=4.0,
        remarks=["worker0 is gone", "a | b"],
    )
    versions = {"celery": "5.7.0"}
    return {
        "machine": MACHINE,
        "options": {"at_once": 2, "patience": 60.0, "took_seconds": 300},
        "rows": [
            {
                "fault": "call-kills",
                "system": "distribute_challenge",
                "versions": versions,
                "found": killed.as_json(),
            },
            {
                "fault": "call-kills",
                "system": "celery",
                "versions": versions,
                "found": hung.as_json(),
            },
            {"fault": "call-kills", "system": "ray", "failed": "did not start: no process answers"},
            {
                "fault": "call-cancelled",
                "system": "celery",
                "versions": versions,
                "found": Found(2, 0).as_json(),
            },
            {"fault": "client-killed", "system": "ray", "absent": "calls end with the client"},
        ],
    }
