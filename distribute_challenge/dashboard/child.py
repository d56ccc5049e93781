"""A dashboard in a process of its own, beside a cluster that this process has started."""

import os
import subprocess
import sys

from distribute_challenge import settings
from distribute_challenge.dashboard.serving import (
    DEFAULT_PORT,
    LOOPBACK,
    address,
    check_installed,
    listen,
    new_token,
)

__all__ = ["DashboardProcess"]

END_WITHIN = 5.0  # Seconds; it takes tenths of one.


class DashboardProcess:
    """The dashboard of a cluster, in a process of its own, which costs this one no time.

    It listens at once, and answers when it has started. It ends with this process, however that
    ends, as its standard input is a pipe from here.

    Args:
        url: The broker.

    Attributes:
        address: The address of the page.

    Raises:
        BackendError: A package that it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        check_installed()
        token = settings.dashboard_token() or new_token()
        try:
            listening = listen(LOOPBACK, DEFAULT_PORT)
        except OSError:  # Another dashboard has that port.
            listening = listen(LOOPBACK, 0)
        with listening:
            self.address = address(listening, token)
            descriptor = listening.fileno()
            first, _ = settings.BROKER_VARIABLES
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "distribute_challenge",
                    "dashboard",
                    "--socket",
                    str(descriptor),
                ],
                # Not on the command line, which every user of this machine can read.
                env={
                    **os.environ,
                    first: url,
                    settings.DASHBOARD_TOKEN_VARIABLE: token,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[descriptor],
                start_new_session=True,  # Ctrl+C reaches only this process.
            )
        self._owner = os.getpid()

    def close(self) -> None:
        """End the dashboard; in a forked child of the process that started it, do nothing."""
        if os.getpid() != self._owner:
            return
        process = self._process
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
