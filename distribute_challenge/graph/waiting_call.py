"""The future of a call that waits for what other calls result in."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.compact import compact
from distribute_challenge.core.following import Follower
from distribute_challenge.core.futures import Future
from distribute_challenge.core.lazy_future import OFTEN_SET
from distribute_challenge.core.log_lines import LogLine
from distribute_challenge.core.messages import Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.running_graphs import RunningGraph
from distribute_challenge.errors import Attempt, CallCancelledError, ValueLostError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.graph.inputs import Input
from distribute_challenge.graph.release import soon
from distribute_challenge.graph.values import with_values
from distribute_challenge.serialisation import PortableFunction, dumps_error, loads_error
from distribute_challenge.serialisation.tasks import release_values
from distribute_challenge.settings import attempts

if TYPE_CHECKING:
    from distribute_challenge.stores import Hold

__all__ = ["WaitingCall", "drop"]

_OUT = "_is_out", "_runs", "_inner"  # Attributes that have to do with the engine.

MOST_STEPS = 10  # Calls that the notes of an exception name on the way from the one that failed.

# Orders the end of inputs, the release of a call, and its cancellation. There is one lock for all
# calls, because it is held for a microsecond. Reentrant: garbage that is collected under it may be a
# call that other calls no longer need.
_lock = threading.RLock()

# Held while lost values are found again: several calls may miss the same one.
_finding = threading.Lock()


@compact(*OFTEN_SET, "graph", "missing", "_task", "_engine", "_inputs", "_portable", *_OUT)
class WaitingCall(Follower, Future[Any]):
    """A call that goes to its engine when the calls that it needs have ended.

    Args:
        task: The call; its arguments have a stand-in for each input.
        engine: Gets the task, with the values in it.
        inputs: What it needs, by the numbers of the stand-ins.
        portable: Its function.
        graph: The graph with which it is submitted; None: it is submitted alone.

    Guarantees:

    - The engine gets the task when the last input has a value, or together with the last inputs
      (`Follower`). It gets it again only if it did not run beside them, or if a value is lost on
      the way: then the calls that made the value run again first.
    - When an input fails, the call does not begin, and fails with the same exception, which gets a
      note. When an input is cancelled, so is the call.
    - An input that no other part of the program knows, and that no call needs any more, is
      cancelled.
    """

    # Few calls have others; there may be a million of them.
    _returns = 0  # Runs that gave it back, not begun.
    _hold: "Hold | None" = None  # Keeps its own large values, for another run.
    _steps = 0  # From the call that failed.
    _forced = False
    _because = ""

    def __init__(
        self,
        task: Task,
        engine: ExecutionBackend,
        inputs: Sequence[Input],
        portable: PortableFunction,
        graph: RunningGraph | None = None,
    ) -> None:
        super().__init__(task.function.name)
        if graph is not None:
            self.graph = graph
        # Until the call ends. Without the calls themselves, which may hold much.
        self._task: Task | None = task._replace(needs=()) if task.needs else task
        self._engine = engine
        self._inputs: Sequence[Input] = inputs
        self._portable = portable
        self.missing = 0
        self._is_out = False  # Whether the engine has it, or is about to get it.
        self._runs = 0
        self._inner: Future[Any] | None = None
        _add_users(inputs)

    def begin(self) -> None:
        """Wait for the inputs; the call goes to its engine at once if all have ended."""
        futures = [each.future for each in self._inputs]
        self.missing = len(futures)
        ended_there = self._input_ended_there  # One object for all inputs, as there may be many.
        for future in futures:
            if future is None or future.done():
                self._input_ended(future)
            else:
                future.when_done(ended_there)

    def cancel(self, force: bool = False) -> bool:
        if force:
            self._forced = True
        return super().cancel(force)

    def logs(self) -> list[LogLine]:
        inner = self._inner
        return super().logs() if inner is None else inner.logs()

    def call_text(self) -> str:
        task, inputs, inner = self._task, self._inputs, self._inner
        if task is not None:
            return _text(task, inputs)
        return super().call_text() if inner is None else inner.call_text()

    def stage(self) -> str:
        inner = self._inner
        if inner is not None:
            return inner.stage()
        return (
            f"waiting for {self.missing} of {len(self._inputs)} calls"
            if self.missing > 0
            else "pending"
        )

    def _input_ended_there(self, future: Future[Any]) -> None:
        with _lock:
            if (self.missing > 1 or self._is_out) and future.has_value():
                # It is not the last one, or the call is in the same message: then `give_back` looks
                # whether all have ended.
                self.missing -= 1
                return
        soon(future, self._input_ended)

    def _input_ended(self, future: Future[Any] | None) -> None:
        if future is not None and not future.has_value():
            self._end_with(future)
            return
        with _lock:
            self.missing -= 1
        self._release_if_ready()

    def _release_if_ready(self) -> None:
        with _lock:
            if self.missing or self._is_out or self._task is None:
                return
            self._is_out = True
            task, inputs = self._task, self._inputs
        self._release(task, inputs)

    def _release(self, task: Task, inputs: Sequence[Input]) -> None:
        """Give the call to its engine, with the values of its inputs."""
        try:
            inner = self._engine.submit(self._with_values(task, inputs))
        except BaseException as error:
            self._not_released(task, error)
            if not isinstance(error, Exception):
                raise
            return
        self.sent(inner)

    def _not_released(self, task: Task, error: BaseException) -> None:
        if self._is_to_run_again(error):
            # Not here: a long chain may have to be computed again from its beginning.
            soon(error, self._run_again)
            return
        self._fail(task, error)
        self._let_go()

    def _with_values(
        self, task: Task, inputs: Sequence[Input], places: Sequence[int | None] = ()
    ) -> Task:
        if task.values and (depot := self._engine.depot()) is not None:
            if self._hold is None:
                self._hold = depot.hold(task.values)
            else:
                depot.retain(task.values)
        self._runs += 1
        return with_values(task, inputs, self._engine, self._portable, places)

    def _take(self, inner: Future[Any]) -> None:
        """Take over the end of the call from the engine's future."""
        if inner is not self._inner:
            return  # It was given back.
        if inner.cancelled():
            self._cancel()
        elif self._is_to_run_again(error := inner._exception):
            # Elsewhere: this thread receives the results of all other calls.
            soon(error, self._run_again)
            return
        else:
            self.end_like(inner)
            if inner.has_value():
                # Each refers to the other: the value would be freed late, by the garbage collector.
                self._inner = None
                if inner._lines is not None:
                    self._lines = inner._lines
        self._let_go()

    def _let_go(self) -> None:
        """The call has ended: its inputs are not needed any more."""
        with _lock:
            inputs, self._inputs, self._task = self._inputs, (), None
            if self._hold is not None:
                self._hold = None
        drop(inputs, force=False)

    def _is_to_run_again(self, error: BaseException | None) -> TypeGuard[ValueLostError]:
        """Whether a value was lost on its way to this call, or to one in the same message."""
        if (
            type(error) is not ValueLostError
            or self.cancelled()
            or self._runs - self._returns >= attempts()
        ):
            return False
        if any(each.is_lost(error.keys) for each in self._inputs):
            return True
        # Then it was a value of another call. This one may have begun.
        task = self._task
        assert task is not None  # It has not ended.
        return not task.options.at_most_once and set(error.keys).isdisjoint(task.values)

    def _run_again(self, error: ValueLostError) -> None:
        """Provide lost values once more, and then give the call to its engine."""
        try:
            with _finding:
                for each in self._inputs:
                    if each.is_lost(error.keys):
                        each.find_again()
        except BaseException as failure:
            task = self._task
            assert task is not None  # It has not ended.
            self._fail(task, failure)
            self._let_go()
            return
        with _lock:
            self._is_out = False
        self.begin()

    def _end_with(self, failed: Future[Any]) -> None:
        """End the call without beginning it, because an input has no value."""
        with _lock:
            if self._is_out or self._task is None:
                return
            task, self._task = self._task, None
            inputs, self._inputs = self._inputs, ()
        self._release_own(task)
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

    # As a `Follower`, for the engine.

    def task_to_follow(self, sender: object) -> Task | None:
        return None if self._is_out or self._engine.sender is not sender else self._task

    def stands_for(self, future: Future[Any]) -> bool:
        return self._inner is future

    def follow(self, numbers: Mapping[int, int]) -> Task | None:
        with _lock:
            task, inputs = self._task, self._inputs
            if self._is_out or task is None:
                return None
            places = [numbers.get(id(each.future)) for each in inputs]
            for each, place in zip(inputs, places, strict=True):
                if place is None and (each.future is None or not each.future.has_value()):
                    return None
            self._is_out = True
        try:
            return self._with_values(task, inputs, places)
        except BaseException as error:
            self._not_released(task, error)
            return None

    def sent(self, inner: Future[Any]) -> None:
        self._inner = inner
        inner.when_done(self._take)
        if self.cancelled():
            inner.cancel(self._forced)

    def give_back(self, inner: Future[Any], attempts: tuple[Attempt, ...]) -> None:
        with _lock:
            inputs = self._inputs
            if self._inner is inner and self._task is not None:
                self._task = self._task._replace(attempts=attempts)
                self._inner, self._is_out = None, False
                self._returns += 1
        inner._cancel()  # Its values are released.
        for each in inputs:
            # While the call was out, it was not told that an input had failed.
            future = each.future
            if future is not None and future.done() and not future.has_value():
                self._end_with(future)
                return
        self._release_if_ready()

    def _release_own(self, task: Task) -> None:
        if not self._runs:  # Else the engine has done it.
            release_values(task.values, self._engine.depot)

    def _fail(self, task: Task, error: BaseException) -> None:
        if task.chunk:
            self.resolve(ChunkResult([Failure(error)] * task.chunk))
        else:
            self.fail(error)

    # Methods in place of the functions that other futures are given: such a function would refer to
    # this future, and so keep its value until the garbage collector runs.

    def _withdraw(self) -> bool:
        with _lock:
            is_out, task = self._is_out, self._task
            if not is_out:
                self._task = None
                inputs, self._inputs = self._inputs, ()
        if is_out or task is None:
            inner = self._inner
            return inner is not None and inner.cancel()
        self._release_own(task)
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


def _add_users(inputs: Sequence[Input]) -> None:
    """Count one user more of each input that no other part of the program knows."""
    for each in inputs:
        if each.users is not None:
            break
    else:
        return  # As of most calls: without waiting for the lock.
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
    # The others have none for good: no lock is needed to see that.
    waiting = [each for each in inputs if each.users is not None]
    # A loop, as a chain of calls may be longer than Python's stack.
    while waiting:
        each = waiting.pop()
        with _lock:
            if each.users is None:
                continue
            each.users -= 1
            if each.users:
                continue
            # The value is freed with it.
            future, each.future = each.future, None
            if isinstance(future, WaitingCall) and not future._is_out:
                further, future._inputs = future._inputs, ()
                waiting.extend(further)
        if future is not None and not future.done():
            future.cancel(force)


def _text(task: Task, inputs: Sequence[Input]) -> str:
    """Return a call as text, with the calls that it needs in the places of their results."""
    return described(task, lambda number: inputs[number].text())
