"""Submits a call after the calls that its arguments hold, each of them once."""

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.recording import recorded
from distribute_challenge.core.running_graphs import RunningGraph
from distribute_challenge.errors import CallCancelledError, CallError, DependencyError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.graph.inputs import Input
from distribute_challenge.graph.waiting_call import WaitingCall, drop
from distribute_challenge.serialisation import PortableFunction

if TYPE_CHECKING:
    from distribute_challenge.stores import Hold

__all__ = ["Submission", "Submittable", "ToSubmit", "submitted"]


class Submittable(NamedTuple):
    """A call whose arguments are pickled.

    Args:
        task: The call; its ``needs`` are what its arguments hold.
        engine: The engine that runs it.
        portable: Its function.
    """

    task: Task
    engine: ExecutionBackend
    portable: PortableFunction


class ToSubmit(Protocol):
    """A call that has not run; `Distributable` is one."""

    def prepare(self, backend: Any) -> Submittable:
        """Pickle the arguments of the call.

        Args:
            backend: The backend that the outermost call names; None if it names none.
        """


def submitted(call: "ToSubmit", ready: Submittable, backend: Any = None) -> Future[Any]:
    """Submit a call, and before it what it needs.

    Args:
        call: The call.
        ready: The same with pickled arguments.
        backend: The backend of calls that name none themselves; None: the default one.

    Raises:
        DependencyError: The call needs its own result.
        SerialisationError: An argument or a function cannot be pickled.
        SystemFailureError: The engine cannot be reached.
    """
    task = ready.task
    if all(map(_is_future, task.needs)):
        # There is nothing else to submit.
        inputs = tuple(map(Input, task.needs))
        return _future_of(ready._replace(task=task._replace(needs=())), inputs)
    with Submission(backend) as submission:
        return submission.submit(call, ready)


class _Open:
    """A call whose needs are being submitted."""

    __slots__ = ("call", "inputs", "needs", "ready")

    def __init__(self, call: Any, ready: Submittable, *, is_inner: bool = False) -> None:
        self.call = call
        self.needs: Iterator[Any] = iter(ready.task.needs)
        self.inputs: list[Input] = []
        task = ready.task._replace(needs=(), is_inner=is_inner)
        self.ready = Submittable(task, ready.engine, ready.portable)


class Submission:
    """Submits calls together: an object that stands in the arguments of several runs once.

    A context manager: after the block, a call that no other one needs is cancelled, unless `submit`
    has returned its future. A block that raises cancels all of them.

    Args:
        backend: The backend of calls that name none themselves; None: the default one.
        is_lasting: Whether calls are submitted for a long time: what it knows of a call is then
            forgotten when the program has deleted the call.
    """

    def __init__(self, backend: Any = None, *, is_lasting: bool = False) -> None:
        self._backend = backend
        self._is_lasting = is_lasting
        self._inputs: dict[int, Input] = {}  # By the `id` of the call, as long as the call lives.
        self._calls: list[Any] = []
        self._graph: RunningGraph | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for future in _futures(list(self._inputs.values())):
                future.cancel(force=True)
        self.close()

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
        future = known.future
        assert future is not None  # This submission is one of its users.
        if self._graph is not None and known.users is not None and isinstance(future, WaitingCall):
            self._graph.add_result(future)
        known.is_handed_out()
        return future

    def begin(self, call: ToSubmit, ready: Submittable) -> Future[Any]:
        """Submit a call that only later calls of this submission will need.

        Its value stays where it is made, and the call may run again if the value is lost: the
        future that is returned shows how the first run ends.

        Args:
            call: The call. It has not been submitted.
            ready: The same with pickled arguments.

        Raises:
            DependencyError: The call needs its own result.
            SerialisationError: An argument or a function cannot be pickled.
            SystemFailureError: The engine cannot be reached.
        """
        made = self._submitted(call, ready, is_inner=True)
        self._remember(call, made)
        assert made.future is not None  # This submission is one of its users.
        return made.future

    def submit_task(self, ready: Submittable) -> Future[Any]:
        """Submit a task that is no single call, and before it what it needs.

        An error of a call that it needs is the future's.
        """
        try:
            made = self._submitted(None, ready).future
            assert made is not None  # It has just been made.
            return made
        except CallError as error:
            future: Future[Any] = Future(ready.task.function.name)
            future.fail(error)
            return future

    def close(self) -> None:
        """Forget all calls; cancel those that no other call needs, and no program knows."""
        known = list(self._inputs.values())
        self._inputs.clear()
        self._calls.clear()
        drop(known, force=True)
        if self._graph is not None:
            self._graph.complete()

    def _submitted(self, call: Any, ready: Submittable, *, is_inner: bool = False) -> Input:
        # A loop, as a chain of calls may be longer than Python's stack.
        path, open_calls = [_Open(call, ready, is_inner=is_inner)], {id(call)}
        # Calls that no call needs yet are not found from their results.
        graph = None if is_inner else self._graph_with(ready.task, ready.engine)
        while True:
            further = self._next_to_open(path[-1], open_calls)
            if further is not None:
                open_calls.add(id(further))
                path.append(_Open(further, further.prepare(self._backend), is_inner=True))
                continue
            ended = path.pop()
            open_calls.discard(id(ended.call))
            made = _started(ended, graph)
            if not path:
                return made
            self._remember(ended.call, made)
            path[-1].inputs.append(made)

    def _graph_with(self, task: Task, engine: ExecutionBackend) -> RunningGraph | None:
        """Return the graph of this submission; the first call that needs another one begins it."""
        if self._graph is None and not self._is_lasting and not all(map(_is_future, task.needs)):
            self._graph = RunningGraph(task.function.name, engine)
        return self._graph

    def _remember(self, call: Any, made: Input) -> None:
        # A user of its own: a call that is submitted later may need it.
        assert made.users is not None  # The program does not know its future yet.
        made.users += 1  # Without the lock, as no other thread knows it yet, either.
        self._inputs[id(call)] = made
        if self._is_lasting:
            weakref.finalize(call, _forget, self._inputs, id(call)).atexit = False
        else:
            self._calls.append(call)

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


def _forget(inputs: dict[int, Input], number: int) -> None:
    made = inputs.pop(number, None)
    if made is not None:
        drop((made,), force=True)


def _started(ended: _Open, graph: RunningGraph | None) -> Input:
    ready, inputs, again = ended.ready, tuple(ended.inputs), None
    task = ready.task
    if graph is not None and (inputs or task.is_inner):
        graph.calls += 1
    if task.is_inner and not task.options.at_most_once:
        depot = ready.engine.depot() if task.values else None
        hold = None if depot is None else depot.hold(task.values)
        again = _Again(ready, inputs, hold)
    return Input(_future_of(ready, inputs, graph), task, again)


class _Again:
    """Submits a call once more; with few bytes, as there may be a million of them."""

    __slots__ = ("_engine", "_hold", "_inputs", "_portable", "_task")

    def __init__(self, ready: Submittable, inputs: Sequence[Input], hold: "Hold | None") -> None:
        self._task, self._engine, self._portable = ready
        self._inputs = inputs
        self._hold = hold

    def __call__(self) -> Future[Any]:
        if self._hold is not None:
            depot = self._engine.depot()
            assert depot is not None
            depot.retain(self._hold.keys)
        return _future_of(Submittable(self._task, self._engine, self._portable), self._inputs)


def _future_of(
    ready: Submittable, inputs: Sequence[Input], graph: RunningGraph | None = None
) -> Future[Any]:
    task, engine, portable = ready
    if not inputs:
        return recorded(task, engine.submit(task))
    waiting = recorded(task, WaitingCall(task, engine, inputs, portable, graph))
    if not engine.concurrency:
        # Such an engine runs calls where they are submitted, which is this thread.
        for future in _futures(inputs):
            with suppress(CallCancelledError):
                future.exception()
    waiting.begin()
    return waiting


def _is_future(need: Any) -> bool:
    return isinstance(need, Future)


def _futures(inputs: Iterable[Input]) -> list[Future[Any]]:
    """Return the futures of inputs that are still needed."""
    return [each.future for each in inputs if each.future is not None]
