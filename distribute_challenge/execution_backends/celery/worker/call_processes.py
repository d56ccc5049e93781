"""Lets calls in a child process of the worker start processes, as in any program.

Billiard starts the child as a daemon, which may not start processes; and signals that end other
programs have a handler in the child, which a fork would inherit.
"""

import multiprocessing
import os
import signal
from multiprocessing.process import AuthenticationString  # type: ignore[attr-defined]
from typing import Any

from distribute_challenge.execution.descendants import bind_descendants
from distribute_challenge.execution_backends.celery.worker.overrides.child_signals import (
    TO_END,
    let_forks_end,
)

__all__ = ["allow_processes"]

_mask: list[set[signal.Signals]] = []


def allow_processes() -> None:
    """Let the calls of this process use `multiprocessing` and `os.fork`."""
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    # A daemon must not start processes, and a key of billiard's class cannot be pickled for one.
    config.update(daemon=False, authkey=AuthenticationString(config["authkey"]))
    bind_descendants()
    os.register_at_fork(
        before=_hold_signals, after_in_child=_end_by_signals, after_in_parent=_release_signals
    )


def _hold_signals() -> None:
    """Block the signals that end a process, until a fork is ready for them.

    The handler that the fork inherits would keep it from ending.
    """
    _mask.append(signal.pthread_sigmask(signal.SIG_BLOCK, TO_END))  # type: ignore[arg-type]


def _end_by_signals() -> None:
    let_forks_end()
    _release_signals()


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.pop())
