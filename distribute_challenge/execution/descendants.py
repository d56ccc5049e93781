"""Ends processes that calls start with `multiprocessing` with the process that ran the call."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import util

__all__ = ["bind_descendants", "kill_descendants"]

_PR_SET_PDEATHSIG = 1
_forked_by_main_thread = False
_parent = 0


def bind_descendants() -> None:
    """Have the kernel kill future `multiprocessing` forks of this process when it dies.

    `multiprocessing` itself ends its children only if the parent exits normally. Only Linux offers
    this, and only forks from the main thread are bound: to the kernel, the parent is the thread.
    Children of `os.fork` are left alone: they may be meant to stay.
    """
    if sys.platform.startswith("linux"):  # pragma: no branch
        os.register_at_fork(before=_note_thread)
        util.register_after_fork(bind_descendants, _die_with_parent)


def kill_descendants() -> None:
    """Kill the processes that this one has started with `multiprocessing`.

    A worker process calls it at its end, when nothing waits for them any more.
    """
    for process in multiprocessing.active_children():
        process.kill()


def _note_thread() -> None:
    global _forked_by_main_thread, _parent
    _forked_by_main_thread = threading.current_thread() is threading.main_thread()
    _parent = os.getpid()


def _die_with_parent(_: object) -> None:
    if _forked_by_main_thread:  # pragma: no branch - coverage loses what a thread's child does
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _parent:  # pragma: no cover - the parent died before the line above
            os.kill(os.getpid(), signal.SIGKILL)
