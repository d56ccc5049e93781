"""Signals to all processes of a worker at once, as systemd sends them, and to one child process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.chaos.kinds.kind import (
    END_WITHIN,
    WORKER_LOST,
    Effect,
    Kind,
    worker_of,
)
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.rig import Rig

__all__ = ["SIGNALS"]

# What a worker does by itself when its main process gets them: it ends, at once or once its calls
# have,
_ENDING: Final = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR2)
# starts anew when its calls have ended, or writes into its log what it does.
_OTHERS: Final = (signal.SIGHUP, signal.SIGUSR1)


def _group_gets(number: signal.Signals) -> Effect:
    @contextmanager
    def effect(rig: Rig, fault: Fault) -> Iterator[None]:
        worker = worker_of(rig, fault)
        worker.wait_until_ready()  # Before, it has no handlers yet.
        starts = worker.starts
        worker.send(number)
        yield
        if number in _ENDING:
            worker.wait(within=END_WITHIN)
            worker.start()
        elif number == signal.SIGHUP:
            worker.wait_until_ready(starts + 1)

    return effect


def _process_gets(number: signal.Signals) -> Effect:
    @contextmanager
    def effect(rig: Rig, fault: Fault) -> Iterator[None]:
        worker_of(rig, fault).signal_child(number)
        yield

    return effect


@contextmanager
def interrupted_twice(rig: Rig, fault: Fault) -> Iterator[None]:
    """Press Ctrl+C twice in a worker's terminal: the second one cuts off what the worker runs."""
    worker = worker_of(rig, fault)
    worker.wait_until_ready()
    worker.send(signal.SIGINT)
    yield
    worker.send(signal.SIGINT)
    worker.wait(within=END_WITHIN)
    worker.start()


def _excuses(number: signal.Signals) -> tuple[str, ...]:
    # What the others let end is finished first; these two are as deadly as SIGKILL is.
    return WORKER_LOST if number in (signal.SIGQUIT, signal.SIGUSR2) else ()


SIGNALS = {
    **{
        f"worker's processes get {number.name}": Kind(
            _group_gets(number), (0.0, 2.0), _excuses(number)
        )
        for number in (*_ENDING, *_OTHERS)
    },
    "worker interrupted twice": Kind(interrupted_twice, (0.1, 1.0), WORKER_LOST),
    **{
        f"process gets {number.name}": Kind(_process_gets(number))
        for number in (*_ENDING, *_OTHERS)
    },
}
