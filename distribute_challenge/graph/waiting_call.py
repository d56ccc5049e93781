"""The future of a call that waits for what other calls result in."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.log_lines import LogLine
from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.references import Reference
from distribute_challenge.errors import CallCancelledError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.graph.inputs import RESULT, Input
from distribute_challenge.graph.release import soon
from distribute_challenge.serialisation import dumps_error, loads_error, pack_plain, with_inputs
from distribute_challenge.serialisation.tasks import release_values, values_of

__all__ = ["FunctionWith", "WaitingCall", "add_users", "drop"]

MOST_STEPS = 10  # Calls that the notes of an exception name on the way from the one that failed.

#: Returns the payload of the call's function, with more modules of the user's project.
FunctionWith = Callable[[frozenset[str]], FunctionPayload]

# Orders the end of inputs, the release of a call, and its cancellation. There is one lock for all
# calls, because it is held for a microsecond. Reentrant: garbage that is collected under it may be a
# call that other calls no longer need.
_lock = threading.RLock()


class WaitingCall(Future[Any]):
    """A call that goes to its engine when the calls that it needs have ended.

    Args:
        task: The call; its arguments have a stand-in for each input.
        engine: Gets the task, with the values in it.
        inputs: What it needs, by the numbers of the stand-ins.
        function_with: Makes the function's payload anew if a value needs further modules.

    Guarantees:

    - The engine gets the task once, when the last input has a value.
    - When an input fails, the call does not begin, and fails with the same exception, which gets a
      note. When an input is cancelled, so is the call.
    - An input that no other part of the program knows, and that no call needs any more, is
      cancelled.
    """

    def __init__(
        self,
        task: Task,
        engine: ExecutionBackend,
        inputs: Sequence[Input],
        function_with: FunctionWith,
    ) -> None:
        super().__init__(task.function.name)
        # Without the calls themselves, which may hold much.
        self._task: Task | None = task._replace(needs=())
        self._engine = engine
        self._inputs: Sequence[Input] = inputs
        self._function_with = function_with
        self._missing = len(inputs)
        self._steps = 0  # From the call that failed.
        self._forced = False
        self._because = ""
        self._inner: Future[Any] | None = None
        add_users(inputs)

    def begin(self) -> None:
        """Wait for the inputs; the call goes to its engine at once if all have ended."""
        for each in self._inputs:
            if each.future.done():
                self._input_ended(each.future)
            else:
                each.future.when_done(self._input_ended_there)

    def cancel(self, force: bool = False) -> bool:
        self._forced |= force
        return super().cancel(force)

    def logs(self) -> list[LogLine]:
        inner = self._inner
        return super().logs() if inner is None else inner.logs()

    def call_text(self) -> str:
        task, inputs, inner = self._task, self._inputs, self._inner
        if task is not None:
            return _text(task, inputs)
        return super().call_text() if inner is None else inner.call_text()

    def _input_ended_there(self, future: Future[Any]) -> None:
        soon(future, self._input_ended)

    def _input_ended(self, future: Future[Any]) -> None:
        if not future.has_value():
            self._end_with(future)
            return
        with _lock:
            self._missing -= 1
            task = None
            if not self._missing:
                task, self._task = self._task, None
        if task is not None:
            self._release(task)

    def _release(self, task: Task) -> None:
        """Give the call to its engine, with the values of its inputs."""
        inputs, self._inputs = self._inputs, ()
        try:
            inner = self._engine.submit(self._with_values(task, inputs))
        except BaseException as error:
            self._fail(task, error)
            if not isinstance(error, Exception):
                raise
            return
        self._inner = inner
        inner.when_done(self._take)
        if self.cancelled():
            inner.cancel(self._forced)

    def _with_values(self, task: Task, inputs: Sequence[Input]) -> Task:
        values = list(task.values)
        parcels = []
        depot = self._engine.depot()

        def deposited(buffer: memoryview) -> Reference | None:
            if depot is None:
                return None
            reference = depot.deposit(buffer)
            values.append(reference.key)
            return reference

        try:
            for each in inputs:
                parcel = each.packed(self._engine)
                parcels.append(parcel)
                values += parcel.values
            modules = frozenset[str]().union(*(parcel.modules for parcel in parcels))
            function = task.function
            if modules:
                function = self._function_with(modules)
                values += values_of(function, self._engine.depot)
            blob = with_inputs(task.arguments, [parcel.data for parcel in parcels])
            arguments = pack_plain(blob, deposited)
        except BaseException:
            release_values(values, self._engine.depot)
            raise
        return task._replace(
            function=function, arguments=arguments, values=tuple(values), is_next=True
        )

    def _take(self, inner: Future[Any]) -> None:
        """Take over the end of the call from the engine's future."""
        if inner.cancelled():
            self._cancel()
            return
        self.end_like(inner)
        if inner.has_value():
            # Each refers to the other: the value would be freed late, by the garbage collector.
            self._lines, self._inner = inner._lines, None

    def _end_with(self, failed: Future[Any]) -> None:
        """End the call without beginning it, because an input has no value."""
        with _lock:
            task, self._task = self._task, None
        if task is None:
            return
        inputs, self._inputs = self._inputs, ()
        release_values(task.values, self._engine.depot)
        cause = next(each for each in inputs if each.future is failed)
        needed = f"{_text(task, inputs)} needed {cause.text()}"
        drop(inputs, force=True)
        if failed.cancelled():
            self._because = f": {needed}, which was cancelled"
            self._cancel()
            return
        error = failed.exception()
        assert error is not None
        self._steps = 1 + (failed._steps if isinstance(failed, WaitingCall) else 0)
        if self._steps <= MOST_STEPS:
            # An exception of its own: other calls that need the same input add other notes.
            error = loads_error(dumps_error(error, needed))
        self._fail(task, error)

    def _fail(self, task: Task, error: BaseException) -> None:
        if task.chunk:
            self.resolve(ChunkResult([Failure(error)] * task.chunk))
        else:
            self.fail(error)

    # Methods in place of the functions that other futures are given: such a function would refer to
    # this future, and so keep its value until the garbage collector runs.

    def _withdraw(self) -> bool:
        with _lock:
            task, self._task = self._task, None
        if task is None:
            inner = self._inner
            return inner is not None and inner.cancel()
        inputs, self._inputs = self._inputs, ()
        release_values(task.values, self._engine.depot)
        drop(inputs, force=self._forced)
        return True

    def _stop(self) -> None:
        inner = self._inner
        if inner is not None:  # Else `_release` sees that the future is cancelled.
            inner.cancel(force=True)

    def _is_running(self) -> bool:
        inner = self._inner
        return inner is not None and inner.running()

    def _wait(self, timeout: float | None) -> None:
        try:
            super()._wait(timeout)
        except CallCancelledError as error:
            raise CallCancelledError(f"{error}{self._because}") from None


def add_users(inputs: Iterable[Input]) -> None:
    """Count one user more of each input that no other part of the program knows."""
    with _lock:
        for each in inputs:
            if each.users is not None:
                each.users += 1


def drop(inputs: Iterable[Input], *, force: bool) -> None:
    """Count one user less of each input; one without users is cancelled.

    Args:
        inputs: The inputs.
        force: Also stop those that run.
    """
    waiting = list(inputs)
    # A loop, as a chain of calls may be longer than Python's stack.
    while waiting:
        each = waiting.pop()
        with _lock:
            if each.users is None:
                continue
            each.users -= 1
            if each.users:
                continue
            future = each.future
            if isinstance(future, WaitingCall) and future._task is not None:
                further, future._inputs = future._inputs, ()
                waiting.extend(further)
        if not future.done():
            future.cancel(force)


def _text(task: Task, inputs: Sequence[Input]) -> str:
    """Return a call as text, with the calls that it needs in the places of their results."""
    return RESULT.sub(lambda found: inputs[int(found[1])].text(), described(task))
