"""Serves the dashboard until this process is told to end."""

import secrets
import socket
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

from distribute_challenge.errors import BackendError

__all__ = ["DEFAULT_PORT", "LOOPBACK", "address", "check_installed", "listen", "new_token", "serve"]

DEFAULT_PORT: Final = 8787
LOOPBACK: Final = "127.0.0.1"


def check_installed() -> None:
    """Check that the packages of the web server are installed.

    Raises:
        BackendError: One is not.
    """
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise BackendError(
                f"the dashboard needs {package}, which is not installed: "
                f'pip install "distribute-challenge[dashboard]"'
            )


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: An address of this machine.
        port: The port; 0: any that is free.

    Raises:
        OSError: The port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def address(listening: socket.socket, token: str) -> str:
    """Return the address of the page that is served at a socket.

    Args:
        listening: The socket.
        token: The token.
    """
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # All addresses of this machine.
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/?token={token}"


def serve(
    url: str,
    listening: socket.socket,
    token: str,
    hosts: Sequence[str] = (),
    until: threading.Event | None = None,
) -> None:
    """Serve the dashboard of a cluster until Ctrl+C or SIGTERM.

    Args:
        url: The broker.
        listening: The socket to serve at.
        token: As for `server.Dashboard`.
        hosts: As for `server.Dashboard`.
        until: Ends it, too, once it is set; None: nothing else does.

    Raises:
        SecretError: There is no secret for this cluster.
    """
    import uvicorn

    from distribute_challenge.dashboard.server import Dashboard

    dashboard = Dashboard(url, token, hosts)
    config = uvicorn.Config(
        dashboard.app,
        log_level="warning",
        access_log=False,  # Its lines would have the token.
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=100,
    )
    server = uvicorn.Server(config)
    if until is not None:
        threading.Thread(target=_end, args=(server, until), daemon=True).start()
    try:
        server.run(sockets=[listening])
    finally:
        dashboard.close()


def _end(server: Any, until: threading.Event) -> None:
    until.wait()
    server.should_exit = True
