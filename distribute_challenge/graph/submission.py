"""Submits a call after the calls that its arguments hold, each of them once."""

import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import CallCancelledError, DependencyError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.graph.inputs import Input
from distribute_challenge.graph.waiting_call import FunctionWith, WaitingCall

__all__ = ["Submission", "Submittable", "ToSubmit"]


class Submittable(NamedTuple):
    """A call whose arguments are pickled.

    Args:
        task: The call; its ``needs`` are what its arguments hold.
        engine: The engine that runs it.
        function_with: As for `WaitingCall`.
    """

    task: Task
    engine: ExecutionBackend
    function_with: FunctionWith


class ToSubmit(Protocol):
    """A call that has not run; `Distributable` is one."""

    def prepare(self, backend: Any) -> Submittable:
        """Pickle the arguments of the call.

        Args:
            backend: The backend that the outermost call names; None if it names none.
        """


class _Open:
    """A call whose needs are being submitted."""

    def __init__(self, call: Any, ready: Submittable) -> None:
        self.call = call
        self.ready = ready
        self.needs: Iterator[Any] = iter(ready.task.needs)
        self.inputs: list[Input] = []


class Submission:
    """Submits calls together: an object that stands in the arguments of several runs once.

    Args:
        backend: The backend of calls that name none themselves; None: the default one.
    """

    def __init__(self, backend: Any = None) -> None:
        self._backend = backend
        # By the `id` of the call, as long as the call lives.
        self._inputs: dict[int, Input] = {}

    def submit(self, call: ToSubmit, ready: Submittable | None = None) -> Future[Any]:
        """Submit a call, and before it what it needs.

        Args:
            call: The call.
            ready: The same with pickled arguments, if it is there already.

        Raises:
            DependencyError: The call needs its own result.
            SerialisationError: An argument or a function cannot be pickled.
            SystemFailureError: The engine cannot be reached.
        """
        known = self._inputs.get(id(call))
        if known is None:
            known = self._submitted(call, ready or call.prepare(self._backend))
            self._remember(call, known)
        known.is_handed_out()
        return known.future

    def submit_task(self, ready: Submittable) -> Future[Any]:
        """Submit a task that is no single call, and before it what it needs; as `submit`."""
        return self._submitted(None, ready).future

    def cancel(self) -> None:
        """Stop all calls of this submission that have not ended."""
        for each in list(self._inputs.values()):
            each.future.cancel(force=True)

    def _submitted(self, call: Any, ready: Submittable) -> Input:
        # A loop, as a chain of calls may be longer than Python's stack.
        path, open_calls = [_Open(call, ready)], {id(call)}
        try:
            while True:
                further = self._next_to_open(path[-1], open_calls)
                if further is not None:
                    open_calls.add(id(further))
                    path.append(_Open(further, further.prepare(self._backend)))
                    continue
                ended = path.pop()
                open_calls.discard(id(ended.call))
                made = Input(_started(ended), ended.ready.task._replace(needs=()))
                if not path:
                    return made
                self._remember(ended.call, made)
                path[-1].inputs.append(made)
        except BaseException:
            self.cancel()
            raise

    def _remember(self, call: Any, made: Input) -> None:
        self._inputs[id(call)] = made
        weakref.finalize(call, self._inputs.pop, id(call), None).atexit = False

    def _next_to_open(self, parent: _Open, open_calls: set[int]) -> Any:
        """Return the next call that the parent needs and that was not submitted, if there is one."""
        for need in parent.needs:
            if isinstance(need, Future):
                parent.inputs.append(Input(need))
            elif id(need) in self._inputs:
                parent.inputs.append(self._inputs[id(need)])
            elif id(need) in open_calls:
                raise DependencyError(
                    f"{parent.ready.task.function.name} needs its own result: an argument holds a "
                    f"call that holds this one in turn. Give it a call without that argument"
                )
            else:
                return need
        return None


def _started(ended: _Open) -> Future[Any]:
    task, engine, function_with = ended.ready
    if not task.needs:
        return engine.submit(task)
    waiting = WaitingCall(task, engine, ended.inputs, function_with)
    if not engine.concurrency:
        # Such an engine runs calls where they are submitted, which is this thread.
        for each in ended.inputs:
            with suppress(CallCancelledError):
                each.future.exception()
    waiting.begin()
    return waiting
