"""TCP ports of this machine."""

import socket

__all__ = ["accepts", "free_port"]


def free_port() -> int:
    """Return a port of 127.0.0.1 at which no program listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a program listens at a port.

    A bare socket costs less than a Redis client, which a peer may not even import.
    """
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
