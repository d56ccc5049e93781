"""Starts the session of a system as its runner does, and gives it orders."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.sessions.side_by_side import SideBySide
from distribute_challenge.cluster.redis_server import server_program
from tests.docker_engine import free_port

__all__ = ["TOP", "answers", "figure"]

TOP = Path(__file__).parents[3]


def answers(
    module: str, name: str, workers: int, orders: Iterable[dict[str, Any]], folder: Path
) -> list[Any]:
    """Return the answers to orders, of which the first starts the system.

    Args:
        module: The module that runs in the session's process.
        name: Name of the system.
        workers: How many worker processes it gets.
        orders: Orders between the first, which starts it, and the last, which stops it.
        folder: For the files of the session.
    """
    environment = {
        "PEERS_FOLDER": str(folder),
        "PEERS_REDIS_PORT": str(free_port()),
        "PEERS_REDIS_SERVER": server_program(),
        "PYTHONPATH": str(TOP),
        "PATH": os.environ["PATH"],
    }
    found = []
    with subprocess.Popen(
        [sys.executable, "-m", module, name, str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=TOP,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Standard input stays open: when it closes, the session ends at once.
        for order in ({"do": "start"}, *orders, {"do": "stop"}):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            found.append(json.loads(process.stdout.readline()))
        assert process.wait(60) == 0
    return found


def figure(
    benchmark: SideBySide, name: str, system: str, folder: Path, scale: float = 0.001
) -> float:
    """Return the figure of a system that one measurement yields, on little work."""
    orders = [{"do": name, "scale": scale}]
    _, answer, _ = answers(benchmark.session, system, 2, orders, folder)
    assert "figures" in answer, answer
    return float(answer["figures"][name])
