"""Lets calls in a child process of the worker start processes, as in any program.

Billiard, whose process the child is, makes it a daemon.
"""

import multiprocessing
from multiprocessing.process import AuthenticationString  # type: ignore[attr-defined]
from typing import Any

from distribute_challenge.execution.descendants import bind_descendants

__all__ = ["allow_processes"]


def allow_processes() -> None:
    """Let the calls of this process use `multiprocessing` and `os.fork`."""
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    # A daemon must not start processes, and a key of billiard's class cannot be pickled for one.
    config.update(daemon=False, authkey=AuthenticationString(config["authkey"]))
    bind_descendants()
