"""Describes the machine of a run: figures of different machines cannot be compared."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distribute_challenge.cluster.redis_server import server_program

__all__ = ["describe_machine", "in_a_line"]


def describe_machine() -> dict[str, Any]:
    """Describe this machine now; ``load_average_before`` shows whether it was quiet."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "redis": _redis_version(),
    }


def in_a_line(machine: dict[str, Any]) -> str:
    """Return what `describe_machine` found as one line of text."""
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_bytes'] / 2**30:.0f} "
        f"GB, {machine['system']}, "
        f"Python {machine['python']}, Redis {machine['redis']}, {machine['date']}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _redis_version() -> str:
    said = subprocess.run(
        [server_program(), "--version"], capture_output=True, text=True, check=True
    ).stdout
    number = re.search(r"v=(\S+)", said)
    return number[1] if number else said.strip()
