"""Celery's prefork pool, with six differences.

- A job goes to an idle child at once. Celery's pool puts it into a buffer, asks the kernel on its
  next round which children's pipes can be written to, and writes the job to one of them on the
  round after. Here only a job that finds no idle child, or a full pipe, takes that longer way.
- A child is replaced after a number of calls, not messages; by the memory that it holds, not by its
  peak; and when a call has changed something in it that cannot be put back. The child announces its
  end before it reports its last message as done, so the main process writes nothing to it that it
  would not read.
- A child that is told to end, by SIGTERM for example, finishes the message that it runs, and then
  ends. Billiard raises `SystemExit` in the user's code, as if that code had ended the program. The
  main process itself ends busy children by SIGKILL.
- When the connection to the broker breaks, no job is thrown away: messages that wait here for a
  child can still be acknowledged.
- A result that is partly read when the connection breaks is read to its end: see `ResultReader`.
- When the worker ends, messages that no child has begun go back into their queues first.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from billiard import common, get_context
from billiard.pool import EX_RECYCLE
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.asynpool import Worker as Child
from celery.concurrency.prefork import TaskPool
from redis import RedisError

from distribute_challenge.execution.descendants import kill_descendants
from distribute_challenge.execution.end_signals import OrderlyEnd
from distribute_challenge.execution.process_state import is_spoilt
from distribute_challenge.execution.run import calls_run
from distribute_challenge.execution_backends.celery.worker.memory import (
    peak_of_this_process,
    resident,
)
from distribute_challenge.execution_backends.celery.worker.overrides.ready_counter import (
    without_semaphores,
)
from distribute_challenge.execution_backends.celery.worker.overrides.result_reader import (
    ResultReader,
)

__all__ = ["WorkerPool"]

# Seconds that a child waits for its last result to be read; it takes thousandths of one.
READ_WITHIN = 5.0
# The message of a child that will read no more jobs; those of billiard and Celery have lower codes.
LEAVING = 0x10


class _Child(Child):  # type: ignore[misc] # Celery has no types
    """A child process of the pool, which ends between two messages when it must be replaced."""

    maxtasks: int | None
    max_memory_per_child: int | None
    wait_for_job: Callable[[], Any]

    def _make_child_methods(self, *args: Any, **options: Any) -> None:
        super()._make_child_methods(*args, **options)
        # Billiard counts messages, and its child ends without announcing that.
        self._most_calls, self.maxtasks = self.maxtasks, None
        self._most_memory, self.max_memory_per_child = 1024 * (self.max_memory_per_child or 0), None
        self._is_leaving = False
        self._results = 0
        self._end = OrderlyEnd(EX_RECYCLE)
        wait_for_job = self.wait_for_job

        def wait_unless_leaving() -> Any:
            if self._is_leaving:
                sys.exit(EX_RECYCLE)
            return self._end.wait(wait_for_job)

        self.wait_for_job = wait_unless_leaving

    def on_loop_start(self, pid: int) -> None:
        # Only now: billiard has just set handlers of its own.
        _end_as_programs_end()
        self._end.listen()
        super().on_loop_start(pid)

    def prepare_result(self, result: Any) -> Any:
        self._results += 1
        if not self._is_leaving and self._has_done_enough():
            self._is_leaving = True
            self.outq.put((LEAVING, (self.inqW_fd,)))
        return result

    def _ensure_messages_consumed(self, completed: int) -> bool:
        # Billiard checks every tenth of a second whether the last result was read;
        # `_wait_until_read` checks more often.
        return self._is_leaving or bool(super()._ensure_messages_consumed(completed))

    def _do_exit(self, pid: int, exitcode: int | None, exc: BaseException | None = None) -> None:
        # The child ends by `os._exit`, so no atexit handler of `multiprocessing` kills them.
        kill_descendants()
        # The main process sends SIGTERM as soon as it knows of the end: then exit at once.
        signal.signal(
            signal.SIGTERM, lambda *_: os._exit(EX_RECYCLE if exitcode is None else exitcode)
        )
        if self._is_leaving:
            self._wait_until_read()
            self.on_exit(pid, EX_RECYCLE)
            # Exit at once, and do not wait until the main process ends this child.
            os._exit(EX_RECYCLE)
        super()._do_exit(pid, exitcode, exc)

    def _wait_until_read(self) -> None:
        """Wait until the main process has read the last result.

        It may see the end of a child before the child's last messages.
        """
        deadline = time.monotonic() + READ_WITHIN
        while self.on_ready_counter.value < self._results and time.monotonic() < deadline:
            time.sleep(0.002)

    def _has_done_enough(self) -> bool:
        if self._end.is_told or is_spoilt():
            return True
        if self._most_calls and calls_run() >= self._most_calls:
            return True
        return (
            bool(self._most_memory) and (resident() or peak_of_this_process()) > self._most_memory
        )


class _StraightPool(AsynPool):  # type: ignore[misc] # Celery has no types
    """Celery's pool of child processes, which gives jobs to idle children at once.

    Attributes:
        on_death: Called with the process id and the exit code of a child that died while it ran a
            message.
    """

    Worker = _Child
    ResultHandler = ResultReader
    on_poll_start: Any
    _quick_put: Any
    on_death: Callable[[int, int], None] | None = None

    def __init__(self, *args: Any, context: Any = None, **options: Any) -> None:
        super().__init__(*args, context=without_semaphores(context or get_context()), **options)

    def _create_process_handlers(self, hub: Any) -> None:
        super()._create_process_handlers(hub)
        children = self._all_inqueues

        def on_leaving(pipe: int) -> None:
            children.discard(pipe)
            hub.remove_writer(pipe)

        self._result_handler.state_handlers[LEAVING] = on_leaving

    def _create_write_handlers(self, hub: Any, **options: Any) -> None:
        super()._create_write_handlers(hub, **options)
        buffer, put, look_around = self.outbound_buffer, self._quick_put, self.on_poll_start
        children, busy, being_written = self._all_inqueues, self._busy_workers, self._active_writes
        write = hub.consolidate_callback

        def write_to_those_that_stay(pipes: list[int]) -> None:
            # A child that has announced its end in this same round is still among them.
            write([pipe for pipe in pipes if pipe in children])

        hub.consolidate_callback = write_to_those_that_stay

        def put_and_write(job: Any) -> None:
            put(job)
            for child in children:
                if child not in busy and child not in being_written:
                    hub.consolidate_callback([child])
                    return

        def on_poll_start() -> None:
            # With nothing to write, there are no pipes to watch; Celery stops watching them once.
            if buffer or hub.consolidate:
                look_around()

        self._quick_put, self.on_poll_start = put_and_write, on_poll_start

    def terminate_job(self, pid: int, sig: int | None = None) -> None:
        super().terminate_job(pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Kill the children at once.

        Other workers run their messages, as when the whole worker is killed.
        """
        for child in self._pool:
            if child._is_alive():
                os.kill(child.pid, signal.SIGKILL)
        super().terminate()

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int) -> None:
        if self.on_death is not None:
            self.on_death(pid, exitcode)
        super().on_job_process_lost(job, pid, exitcode)

    def process_flush_queues(self, proc: Any) -> None:
        self._result_handler.read_last_of(proc)
        super().process_flush_queues(proc)

    def flush(self) -> None:
        """Finish writing the jobs that are partly in a child's pipe, and keep all other jobs.

        Celery calls this when the connection to the broker breaks.
        """
        writing = {
            job._writer(): job
            for job in self._cache.values()
            if getattr(job, "_writer", None) is not None
        }
        for writer in list(self._active_writers):
            job = writing.get(writer)
            if job is not None and job._write_to is not None and job._write_to._is_alive():
                self._flush_writer(job._write_to, writer)
            self._active_writers.discard(writer)
        self._active_writes.clear()
        self.maintain_pool()

    def take_back(self) -> list[Any]:
        """Remove the jobs that wait for a child from this pool, and return them."""
        jobs = list(self.outbound_buffer)
        self.outbound_buffer.clear()
        for job in jobs:
            job.discard()
        return jobs


class WorkerPool(TaskPool):  # type: ignore[misc] # Celery has no types
    """The pool of a worker, as Celery's worker starts and stops it."""

    Pool = _StraightPool

    def tags(self) -> set[str]:
        """Return the delivery tags of all messages that are in this pool."""
        return {_message_of(job).delivery_tag for job in self._pool._cache.values()}

    def on_stop(self) -> None:
        if self._pool is not None:
            for job in self._pool.take_back():
                # If Redis is away or full, another worker finds the message after its lease.
                with contextlib.suppress(RedisError):
                    _message_of(job).requeue()
        super().on_stop()


def _end_as_programs_end() -> None:
    """Let signals end this process, where billiard would raise `SystemExit` in a user's function."""
    for name in common.TERMSIGS_FULL:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is common._shutdown_cleanup:
            signal.signal(number, signal.SIG_DFL)


def _message_of(job: Any) -> Any:
    """Return the message that a job was made from, through the request that waits for the job."""
    return job._callback.__self__.message
