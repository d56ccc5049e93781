"""Celery's prefork pool, except that a job goes to an idle child at once.

Celery's own puts a job into a buffer, asks the kernel on its next round which of its children's pipes can be written to,
and writes the job to one of them on the round after. Here it goes into an idle child's pipe as it comes; only what finds
no idle child, or a full pipe, takes the longer way.
"""

from typing import Any

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

__all__ = ["WorkerPool"]


class _StraightPool(AsynPool):  # type: ignore[misc] # Celery has no types
    on_poll_start: Any
    _quick_put: Any

    def _create_write_handlers(self, hub: Any, **options: Any) -> None:
        super()._create_write_handlers(hub, **options)
        buffer, put, look_around = self.outbound_buffer, self._quick_put, self.on_poll_start
        children, busy, being_written = self._all_inqueues, self._busy_workers, self._active_writes

        def put_and_write(job: Any) -> None:
            put(job)
            for child in children:
                if child not in busy and child not in being_written:
                    hub.consolidate_callback([child])
                    return

        def on_poll_start() -> None:
            # With nothing to write there are no pipes to watch, and to stop watching them once is enough.
            if buffer or hub.consolidate:
                look_around()

        self._quick_put, self.on_poll_start = put_and_write, on_poll_start


class WorkerPool(TaskPool):  # type: ignore[misc] # likewise
    """What a worker's child processes are held in."""

    Pool = _StraightPool
