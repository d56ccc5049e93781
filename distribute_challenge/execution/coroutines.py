"""Runs an ``async def`` call to its end from synchronous code, even if an event loop is running."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, TypeVar

from distribute_challenge.core.forks import end_child, generation
from distribute_challenge.core.interrupts import at_exit
from distribute_challenge.execution.interruption import loops
from distribute_challenge.execution.time_limit import OverdueError

__all__ = ["put_back_loop", "run_to_completion"]

R = TypeVar("R")

_of_this_thread = threading.local()


def run_to_completion(coroutine: Coroutine[Any, Any, R], seconds: float | None = None) -> R:
    """Run a coroutine and return its result.

    Each thread keeps one event loop for all its calls. If a loop already runs in this thread (a
    notebook, the `local` backend called from asyncio), another thread runs the coroutine, with this
    thread's context.

    Like `asyncio.run`, it cancels tasks that the coroutine leaves behind, and closes its
    asynchronous generators.

    Args:
        coroutine: The coroutine to run.
        seconds: How long it may take; None: no limit. It is cancelled where it waits, which a
            `TimeLimit` outside of its loop cannot do in every thread.

    Raises:
        OverdueError: The coroutine took longer; the `TimeLimit` around the call turns this into
            its own error.

    Examples:
        >>> import asyncio
        >>> run_to_completion(asyncio.sleep(0, "done"))
        'done'
    """
    parts: list[Coroutine[Any, Any, R]] = [coroutine]
    try:
        parts.append(_alone(coroutine))
        if seconds is not None:
            parts.append(_limited(parts[-1], seconds))
        whole = parts[-1]
        if not _loop_runs():
            return _run_in_this_thread(whole)
        context = contextvars.copy_context()
        with concurrent.futures.ThreadPoolExecutor(1, "distribute_challenge coroutine") as thread:
            return thread.submit(context.run, asyncio.run, whole).result()
    except BaseException:
        # The time of the call may have been over before one of them began; Python would warn of it.
        for part in parts:
            if isinstance(part, CoroutineType) and getcoroutinestate(part) == CORO_CREATED:
                part.close()
        raise


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def put_back_loop() -> None:
    """Give this thread an open event loop without tasks, if a call has used event loops in it.

    A call that closes the thread's loop, or that uses `asyncio.run`, leaves the thread without one:
    `asyncio.get_event_loop` would fail in all later calls.
    """
    # The public functions that return the thread's loop either make one or warn if there is none.
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    if policy is None or not (local := vars(policy._local)):
        return
    loop = _kept().loop
    if local.get("_loop") is not loop:
        asyncio.set_event_loop(loop)
    if tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        run_to_completion(asyncio.sleep(0))


async def _limited(coroutine: Coroutine[Any, Any, R], seconds: float) -> R:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await coroutine
    except TimeoutError:
        if limit.expired():
            raise OverdueError from None
        raise


async def _alone(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run the coroutine, and then end the tasks and generators that it leaves behind."""
    process = generation[0]
    generators = _Generators()
    try:
        result = await coroutine
    except BaseException as error:
        if generation[0] != process:
            end_child(error)  # At once: the child has the parent's loop, and must not run it.
        raise
    else:
        if generation[0] != process:
            end_child()
        return result
    finally:
        if generators.have_begun:
            # A generator that was left by a `break` is closed by a task, which the loop creates in
            # its next iteration.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if len(asyncio.all_tasks()) > 1 or generators.alive:
            await _end_leftovers(generators.alive)


class _Generators:
    """Records the asynchronous generators that begin in the running loop from now on."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self.have_begun = False
        self._begin_in_loop: Any = sys.get_asyncgen_hooks().firstiter
        sys.set_asyncgen_hooks(firstiter=self._begin)  # Until the loop ends its run.

    def _begin(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.have_begun = True
        self.alive.add(generator)
        self._begin_in_loop(generator)


async def _end_leftovers(generators: "weakref.WeakSet[AsyncGenerator[Any, Any]]") -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    closing = [generator.aclose() for generator in generators]
    for error in await asyncio.gather(*tasks, *closing, return_exceptions=True):
        if isinstance(error, Exception):
            loop.call_exception_handler(
                {"message": "what a call has left behind failed at its end", "exception": error}
            )


def _run_in_this_thread(coroutine: Coroutine[Any, Any, R]) -> R:
    thread = threading.get_ident()
    try:
        runner = _kept().runner
        loops[thread] = runner.get_loop()
        return runner.run(coroutine)
    except Exception:
        raise
    except BaseException:
        # A time limit or an exit: the coroutine may be unfinished, and must not go on during the
        # next call.
        _close()
        raise
    finally:
        loops.pop(thread, None)


def _kept() -> "_Kept":
    # Only the thread's local storage holds it, and no variable of a frame that calls the user's
    # code: it is deleted with the thread, even if a traceback stays alive. Deleted by the garbage
    # collector, it would find the loop's sockets closed.
    kept: _Kept | None = vars(_of_this_thread).get("kept")
    # A call may close the loop of its thread, or run in the child of a fork.
    if kept is None or kept.loop.is_closed() or kept.is_parents():
        kept = _of_this_thread.kept = _Kept()
    return kept


class _Kept:
    """A thread's event loop, closed when the thread ends."""

    def __init__(self) -> None:
        # Not the `generation`: a fork deletes what other threads hold before it counts itself.
        self._pid = os.getpid()
        self.runner = asyncio.Runner()
        try:
            self.loop = self.runner.get_loop()
        except BaseException:  # The time of a call was over while the loop was made.
            self.runner.close()
            raise

    def __del__(self) -> None:
        # Not the runner's `close`, which runs the loop: this may be any thread, and a loop may be
        # running in it.
        if loop := vars(self).get("loop"):
            if self.is_parents():
                _leave_open(loop)
            else:
                loop.close()

    def is_parents(self) -> bool:
        """Whether this process is a fork of the one that made it."""
        return self._pid != os.getpid()


def _close() -> None:
    kept: _Kept | None = vars(_of_this_thread).pop("kept", None)
    if kept is not None and not kept.is_parents():
        kept.runner.close()


def _leave_open(loop: asyncio.AbstractEventLoop) -> None:
    """In the child of a fork, drop a loop of the parent.

    To close it would remove its sockets from the kernel's epoll object, which both processes have:
    then no other thread could wake the parent's loop.
    """
    # Else asyncio's own loops close themselves when they are deleted.
    with contextlib.suppress(AttributeError):
        loop._closed = True  # type: ignore[attr-defined]


# The main thread's loop must be closed while the interpreter is still intact.
at_exit(_close)
