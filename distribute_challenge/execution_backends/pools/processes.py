"""The engine that runs calls in processes of this machine, one call at a time in each.

A worker's thread has its own process, and talks to it alone. So a process that dies costs only the
call that it was running, and the thread knows which call that was.

A call that is cancelled by force is interrupted in its process. If that does not help, the process
is killed.
"""

import threading
from typing import Any

from distribute_challenge import settings
from distribute_challenge.core import clock
from distribute_challenge.core.batching import GIVE_BACK_AFTER
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.units import amount
from distribute_challenge.errors import CallCancelledError
from distribute_challenge.execution.interruption import GRACE
from distribute_challenge.execution.surroundings import Surroundings
from distribute_challenge.execution_backends import policy
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.frames import task_frame
from distribute_challenge.execution_backends.pools.pool import Pool, PoolCall
from distribute_challenge.execution_backends.pools.process import ProcessEndedError, WorkerProcess
from distribute_challenge.settings import worker_count

__all__ = ["ProcessesExecutionBackend"]

CLOSE_WITHIN = 2.0  # Seconds for idle processes to end in order, and for all others to be killed.


class ProcessesExecutionBackend(ExecutionBackend):
    """The engine ``"processes"``: a pool of processes on this machine.

    They end with this process, however it ends.

    Args:
        workers: Number of processes; None: one for each core.

    Examples:
        >>> from distribute_challenge import compute_this
        >>> with ProcessesExecutionBackend(1) as backend:
        ...     compute_this(lambda x: x * x)(3).compute(backend=backend)
        9
    """

    honours = policy.OPTIONS - {"queue"}
    shares_files = True

    def __init__(self, workers: int | None = None) -> None:
        self.concurrency = workers or worker_count()
        self._attempts = settings.attempts()
        self._surroundings: Surroundings | None = None
        self._pool = self._new_pool()

    def submit(self, task: Task) -> Future[Any]:
        if self._surroundings is None:
            # Read here, because some of these settings belong to the caller's thread.
            self._surroundings = Surroundings.of_this_process()
        return self._pool.submit(task)

    def sized(self, workers: int) -> ExecutionBackend:
        return ProcessesExecutionBackend(workers)

    def check_restart(self) -> None:
        """A pool can be restarted."""

    def restart(self) -> None:
        before, self._pool = self._pool, self._new_pool()
        before.close()

    def unfinished(self) -> int:
        return self._pool.unfinished()

    def facts(self) -> str:
        return amount(self.concurrency, "worker")

    def close(self) -> None:
        self._pool.close()

    def _new_pool(self) -> Pool:
        return Pool(self.concurrency, self._new_runner, CLOSE_WITHIN)

    def _new_runner(self, pool: Pool) -> "_ProcessRunner":
        assert self._surroundings is not None  # `submit` has set it.
        return _ProcessRunner(pool, self._attempts, self._surroundings)


class _ProcessRunner:
    """Runs calls in a process, and in a new one after that has died; each worker has one.

    Args:
        pool: The pool, which takes calls that have to be begun again.
        attempts: How often a call may be begun in all.
        surroundings: The script's settings, for the processes.

    Guarantees: ``_lock`` orders the beginning and the end of a call, `stop` and `abandon`: no
    process is killed for a call that it does not run any more.
    """

    def __init__(self, pool: Pool, attempts: int, surroundings: Surroundings) -> None:
        self._pool = pool
        self._attempts = attempts
        self._surroundings = surroundings
        self._lock = threading.RLock()
        self._process: WorkerProcess | None = None
        self._call: PoolCall | None = None
        self._abandoned = False

    @property
    def worker(self) -> str:
        process = self._process
        return "a new process" if process is None else process.name

    def run(self, call: PoolCall) -> None:
        process = self._process
        if process is None or process.has_ended():
            process = self._started()
        with self._lock:
            # If the call is not cancelled by now, a later `cancel` finds it in `_call`.
            if call.done() or self._abandoned:
                return
            self._call, self._process = call, process
            process.begin()
        sent, options = clock.now(), call.task.options
        try:
            # A process begins no more calls of a chunk after `GIVE_BACK_AFTER` seconds.
            limit = policy.hard_limit(options.timeout, options.retries, before=GIVE_BACK_AFTER)
            frames = process.run(call.task.function, task_frame(call.task), limit)
        except ProcessEndedError as error:
            self._let_go()
            if call.take_end(sent, error.end, allowed=self._attempts):
                self._again(call)
        except BaseException:
            self._let_go()
            raise
        else:
            with self._lock:
                self._call = None
            call.take(sent, frames, allowed=self._attempts)
            if process.is_spoilt:
                self._let_go()

    def stop(self, call: PoolCall) -> None:
        with self._lock:
            if self._call is not call or self._process is None:
                return  # The call has just ended, or will not begin.
            self._process.interrupt()
        timer = threading.Timer(GRACE, self._kill, (call,))
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # The interpreter is ending, and starts no more threads.
            self._kill(call)

    def _kill(self, call: PoolCall) -> None:
        with self._lock:
            if self._call is call and self._process is not None:
                self._process.kill()

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            process, is_busy = self._process, self._call is not None
            if process is not None:
                if is_busy:
                    process.kill()
                else:
                    process.end()

    def close(self) -> None:
        self._let_go()

    def forget(self) -> None:
        if self._process is not None:
            self._process.forget()

    def _started(self) -> WorkerProcess:
        self._let_go()
        process = WorkerProcess(self._surroundings)
        with self._lock:
            self._process = process
            if self._abandoned:
                process.kill()
        return process

    def _let_go(self) -> None:
        with self._lock:
            process, self._process, self._call = self._process, None, None
        if process is not None:
            process.close()

    def _again(self, call: PoolCall) -> None:
        try:
            self._pool.put(call)
        except CallCancelledError:
            Future.cancel(call)
