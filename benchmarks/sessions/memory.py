"""The most memory that the client and Redis take while something runs."""

import re
from pathlib import Path
from typing import Any, Self

__all__ = ["ClientMemory", "RedisMemory"]

MEGABYTE = 2**20
STATUS = Path("/proc/self/status")
# Writing 5 here sets the peak back to what the process has now (proc(5)).
RESET = Path("/proc/self/clear_refs")


class ClientMemory:
    """How far the resident memory of this process grows in a block, at its peak.

    Shared memory that the process has mapped and touched counts, too.

    Attributes:
        growth: In units of 2**20 bytes, once the block has ended; None where the kernel does not
            tell.
        peak: The same with what the process had before.
    """

    growth: float | None = None
    peak: float | None = None

    def __enter__(self) -> Self:
        self._before: float | None = None
        try:
            RESET.write_text("5")
            self._before = _status("VmRSS")
        except OSError:  # No Linux, or a sandbox.
            pass
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            self.peak = _status("VmHWM")
            self.growth = max(0.0, self.peak - self._before)


class RedisMemory:
    """How far the memory of a Redis server grows in a block, at its peak.

    Args:
        address: Address of the server; None: there is none.

    Attributes:
        growth: In units of 2**20 bytes, once the block has ended; None without a server.
    """

    growth: float | None = None

    def __init__(self, address: str | None) -> None:
        self._server: Any = None
        if address is not None:
            # Other systems have no need of it.
            from distribute_challenge.execution_backends.celery.broker.connection import connect

            self._server = connect(address)

    def __enter__(self) -> Self:
        if self._server is not None:
            self._before = self._server.info("memory")["used_memory"]
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            most = self._server.info("memory")["used_memory_peak"]
            self.growth = max(0, most - self._before) / MEGABYTE
            self._server.close()


def _status(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{STATUS} has no {name}")
    return int(found[1]) / 1024
