"""Reads the results of a worker's child processes, also across a lost connection to the broker.

A child sends a result of more than 16 kB in two pieces: its length, and the rest. Celery's reader
keeps a result that it has partly read in the event loop, which is reset when the connection to the
broker breaks. It then takes the second piece for a result: the main process hears no more of that
child, or ends with `UnpicklingError`.
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from celery.concurrency.asynpool import ResultHandler

__all__ = ["ResultReader"]


class ResultReader(ResultHandler):  # type: ignore[misc] # Celery has no types
    """Celery's reader, which continues a result after the event loop was reset."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # By pipe: the child, and the generator that reads its result. A finished one is harmless.
        self._partly_read: dict[int, tuple[Any, Generator[None, None, None]]] = {}

    def read_last_of(self, child: Any) -> None:
        """Continue the result of a child that has ended, as far as the child has written it."""
        known, reading = self._partly_read.pop(child.outqR_fd, (None, None))
        if reading is not None and known is child:
            with contextlib.suppress(StopIteration, OSError, EOFError):
                next(reading)

    def _make_process_result(self, hub: Any) -> Callable[[int], None]:
        def read(pipe: int) -> None:
            child = self.fileno_to_outq.get(pipe)
            if child is None:  # It has ended.
                hub.remove_reader(pipe)
                return
            known, reading = self._partly_read.pop(pipe, (None, None))
            if reading is None or known is not child:
                reading = self._recv_message(hub.add_reader, pipe, self.on_state_change)
            try:
                next(reading)
            except StopIteration:
                pass
            except (OSError, EOFError):
                hub.remove_reader(pipe)
            else:
                self._partly_read[pipe] = child, reading
                hub.add_reader(pipe, reading)  # The event loop forgets this when it is reset.

        return read
