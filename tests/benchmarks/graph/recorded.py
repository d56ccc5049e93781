"""A run of the graphs as it could have been."""

from typing import Any

from tests.benchmarks.peers.recorded import record
from tests.benchmarks.self.recorded import MACHINE

__all__ = ["recorded"]


def recorded() -> dict[str, Any]:
    """The library, over TCP too, and Ray and Dask, which has failed in one measurement."""
    ours = {
        "tree": 30_000.0,
        "fan_out": 20_000.0,
        "fan_out_alone": 21_000.0,
        "array_chain": 0.1,
        "array_chain_client": 2.0,
        "arrays_client": 4.0,
        "arrays_redis": 0.0,
        "nodes_client": 1.2,
    }
    ray = {"tree": 600.0, "fan_out": 900.0, "array_chain": 1.0, "array_chain_client": 0.0}
    peers = {
        "distribute_challenge": record("ours", ours, {**ours, "tree": 32_000.0}),
        "distribute_challenge_tcp": record("ours over TCP", {"arrays_client": 60.0}),
        "ray": record("Ray", ray),
        "dask": record(
            "Dask distributed", {"tree": 100.0}, errors={"fan_out": "no answer within 600 s"}
        ),
    }
    peers["ray"]["absent"] = {"nodes": "measured for the library alone"}
    return {
        "machine": MACHINE,
        "options": {
            "workers": 2,
            "rounds": 2,
            "quick": False,
            "small": False,
            "measurements": ["tree", "fan_out", "array_chain", "arrays", "nodes"],
        },
        "peers": peers,
    }
