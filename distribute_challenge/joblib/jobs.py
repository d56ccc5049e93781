"""The batches of one run of joblib's `Parallel`: sent, waiting to be sent, and aborted."""

import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from distribute_challenge.core.batching import BatchSizer
from distribute_challenge.core.futures import Future
from distribute_challenge.core.options import CallOptions
from distribute_challenge.distributable import Distributable, Prepared
from distribute_challenge.joblib.batch import Batch, Surroundings, joblib_batch

__all__ = ["Job", "Jobs"]


class Job:
    """A batch on its way.

    Attributes:
        future: The future of its values; None until it is sent.
    """

    __slots__ = ("_callback", "batch", "future")

    def __init__(self, batch: Batch, callback: Callable[["Job"], object] | None) -> None:
        self.batch = batch
        self.future: Future[list[Any]] | None = None
        self._callback = callback

    def ended(self) -> None:
        """Tell joblib that the future is done."""
        if self._callback is not None:
            self._callback(self)


class Jobs:
    """The batches of one run of `Parallel`.

    Args:
        surroundings: What they find in their processes.
        options: How to run each of them.
        slots: How many calls can run at the same time.
        most: How many batches may be out at the same time; None: no limit.

    Guarantees:

    - `submit` raises nothing: joblib calls it in the thread of a callback, too, where an exception
      would be lost, and `Parallel` would wait for ever. An error is the job's.
    - No job that was aborted is reported to joblib. Its report could come when the same `Parallel`
      has begun anew, and would end that run.
    - Jobs are sent in the surroundings of the thread that made this object: in its `use_backend`
      block, or inside its call.

    ``_lock`` protects all fields. Neither joblib, which has a lock of its own, nor an engine is
    called under it.
    """

    def __init__(
        self, surroundings: Surroundings, options: CallOptions, slots: int, most: int | None = None
    ) -> None:
        self._function = partial(joblib_batch, surroundings)
        self._prepared = Prepared.of(self._function, options)
        self._slots = slots
        self._most = most
        self._context = copy_context()
        self._sizer = BatchSizer()
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._out: set[Job] = set()
        self._is_over = False

    def submit(self, batch: Batch, callback: Callable[[Job], object] | None) -> Job:
        """Send a batch now, or when another one has ended.

        Args:
            batch: The batch.
            callback: Called with the job when its future is done.
        """
        job = Job(batch, callback)
        with self._lock:
            if self._is_over:
                return job
            self._waiting.append(job)
        self._send()
        return job

    def abort(self, *, for_good: bool) -> None:
        """Cancel all that was submitted, also what runs. Workers stay, and can be used at once.

        Args:
            for_good: Whether to send nothing more: joblib may be about to submit another batch, in
                another thread.
        """
        with self._lock:
            self._is_over = for_good
            jobs = list(self._out)
            self._out.clear()
            self._waiting.clear()
        for job in jobs:
            if job.future is not None:  # Else the thread that sends it finds out.
                job.future.cancel(force=True)

    def record(self, job: Job) -> None:
        """Learn how long a job took, for the size of the next batches."""
        assert job.future is not None
        timeline = job.future.timeline
        if timeline is not None:
            with self._lock:
                self._sizer.record(len(job.batch), timeline.running)

    def batch_size(self) -> int:
        """Return how many calls the next batch should have."""
        with self._lock:
            return self._sizer.size(float("inf"), self._slots)

    def _send(self) -> None:
        """Send what waits and may be out."""
        while True:
            with self._lock:
                if not self._waiting or (self._most is not None and len(self._out) >= self._most):
                    return
                job = self._waiting.popleft()
                self._out.add(job)
            future = self._sent(job.batch)
            with self._lock:
                job.future = future
                is_out, is_done = job in self._out, future.done()
                if is_done:
                    self._out.discard(job)
            if not is_out:
                future.cancel(force=True)
            elif is_done:  # It could not be sent. The loop goes on, and takes no stack.
                job.ended()
            else:
                future.add_done_callback(partial(self._ended, job))

    def _sent(self, batch: Batch) -> Future[list[Any]]:
        call = Distributable(self._function, (batch,), prepared=self._prepared)
        try:
            return self._context.copy().run(call.submit)
        except Exception as error:
            future: Future[list[Any]] = Future(self._prepared.name)
            future.fail(error)
            return future

    def _ended(self, job: Job, _: Any) -> None:
        with self._lock:
            if job not in self._out:
                return  # It was aborted.
            self._out.remove(job)
        self._send()
        job.ended()
