"""Describes the machine and the versions of a run, without which its figures mean little."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from distribute_challenge.benchmarking.extra import Lazily
from distribute_challenge.version import __version__

__all__ = ["machine"]

psutil = Lazily("psutil")

PACKAGES = ("celery", "kombu", "redis", "hiredis", "cloudpickle")


def machine() -> dict[str, str | int | float]:
    """Describe this machine for the record.

    Returns:
        Facts by name. ``cores`` and ``memory`` (bytes) are numbers, the rest is text; names may
        have blanks.

    Raises:
        BackendError: psutil is not installed. The text has the line that installs it.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count() or 1,
        "processor": _processor(),
        "memory": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "distribute_challenge": __version__,
        **{f"{name} (client)": version(name) for name in PACKAGES},
    }


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, if the system tells it."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
