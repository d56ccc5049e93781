"""Runs a measurement as a program of its own, so that it finds nothing that another one left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["TOP", "SessionError", "printed_json"]

#: The checkout.
TOP = Path(__file__).parents[1]
# Prefixes of environment variables with settings of the user's, which would change the figures.
CLEARED = ("CELERY_", "DISTRIBUTE_CHALLENGE_")


class SessionError(Exception):
    """A program died or hung; the message says how."""


def printed_json(module: str, arguments: Sequence[str], deadline: float) -> Any:
    """Run a module of the checkout, and return the JSON that it prints.

    Args:
        module: Its name, as for ``python -m``.
        arguments: Its arguments.
        deadline: Seconds after which it counts as hung, and is killed with all that it started.

    Raises:
        SessionError: It died, or did not end in time.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(CLEARED)}
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TOP,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired as error:
            raise SessionError(f"no figures within {deadline:g} s") from error
        finally:
            # Its cluster ends with it; clients that it started are in its process group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        last = errors.strip().splitlines()[-1:] or ["it said nothing"]
        raise SessionError(f"exit code {process.returncode}: {last[0]}")
    return json.loads(output)
