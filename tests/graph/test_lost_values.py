"""Values of a graph that are lost on their way to the calls that need them."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

from distribute_challenge import Future, compute_this, use_backend
from distribute_challenge.core.messages import Task
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.unopened import Unopened
from distribute_challenge.errors import CallCancelledError, ValueLostError
from distribute_challenge.execution_backends import ChunkResult
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.graph.submission import Submission
from distribute_challenge.serialisation import Parcel
from distribute_challenge.serialisation.packed import Packed
from distribute_challenge.stores import Depot, Reference
from tests.stores.memory import MemoryStore

Eventually = Callable[[Callable[[], bool]], None]

LARGE = numpy.zeros(20_000)


class Engine(ExecutionBackend):
    """Keeps what it gets, for the test to end; large values lie in a dictionary."""

    concurrency = 1
    honours = frozenset({"at_most_once"})

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._depot = Depot([self.store])
        self.tasks: list[Task] = []
        self._futures: dict[int, Future[Any]] = {}

    def submit(self, task: Task) -> Future[Any]:
        future = self._futures[len(self.tasks)] = Future[Any](task.function.name)
        self.tasks.append(task)
        return future

    def future(self, number: int) -> Future[Any]:
        """The future of a call, which is forgotten here."""
        return self._futures.pop(number)

    @property
    def names(self) -> list[str]:
        return [task.function.name for task in self.tasks]

    def depot(self) -> Depot:
        return self._depot

    def end(self, number: int, key: str) -> None:
        """Give a call a result that only the cluster has."""
        self.store.values[key] = b"a value"
        hold = self._depot.take_over([Reference(key, 7)])
        packed = Packed(self._depot, Parcel(b"", values=(key,)), hold)
        self._depot.release(self.tasks[number].values)
        self.future(number).resolve(Unopened(lambda: "a value", packed))

    def lose(self, number: int, *keys: str) -> None:
        """Fail a call because values under these keys are gone."""
        self._depot.release(self.tasks[number].values)
        self.future(number).fail(ValueLostError("gone", keys))


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    with use_backend(engine):
        yield engine


@compute_this
def make(x: Any = None) -> Any:
    return x


@compute_this
def join(*parts: Any) -> Any:
    return parts


def test_the_call_whose_value_was_lost_runs_again(engine: Engine, eventually: Eventually) -> None:
    """So does the call that needs it; it has its large arguments until it has ended."""
    future = join(make(LARGE), LARGE + 1).submit()
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 2)
    engine.lose(1, "k")
    eventually(lambda: len(engine.tasks) == 3)
    engine.end(2, "l")
    eventually(lambda: len(engine.tasks) == 4)
    assert engine.names == ["make", "join"] * 2
    assert engine.tasks[2] == engine.tasks[0]
    assert engine.tasks[3].values[0] == engine.tasks[1].values[0]
    assert (engine.tasks[1].values[1], engine.tasks[3].values[1]) == ("k", "l")
    engine.depot().release(engine.tasks[3].values)
    engine.future(3).resolve(5)
    assert future.result(60) == 5
    del future

    def empty() -> bool:
        engine.depot().sweep(1e12)
        return not engine.store.values

    eventually(empty)


def test_a_lost_value_of_a_call_begun_before_its_dependents_is_computed_again(
    engine: Engine, eventually: Eventually
) -> None:
    """Its value stays on the cluster, as no program has its future."""
    call = make(LARGE)
    with Submission() as submission:
        begun = submission.begin(call, call.prepare(None))
        assert engine.tasks[0].is_inner
        engine.end(0, "k")
        assert begun.has_value()
        future = submission.submit(join(call))
    engine.lose(1, "k")
    eventually(lambda: len(engine.tasks) == 3)
    engine.end(2, "l")
    eventually(lambda: len(engine.tasks) == 4)
    assert engine.names == ["make", "join"] * 2
    engine.future(3).resolve(5)
    assert future.result(60) == 5


def test_earlier_calls_whose_values_were_freed_run_again_too(
    engine: Engine, eventually: Eventually
) -> None:
    future = join(join(make())).submit()
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 2)
    engine.end(1, "l")
    eventually(lambda: len(engine.tasks) == 3)
    assert engine.depot().free_results()
    assert list(engine.store.values) == ["l"]
    engine.lose(2, "l")
    eventually(lambda: len(engine.tasks) == 4)
    engine.end(3, "m")
    eventually(lambda: len(engine.tasks) == 5)
    engine.end(4, "n")
    eventually(lambda: len(engine.tasks) == 6)
    assert engine.names == ["make", "join", "join"] * 2
    engine.future(5).resolve(5)
    assert future.result(60) == 5


def test_a_lost_value_that_two_calls_miss_is_computed_again_once(
    engine: Engine, eventually: Eventually
) -> None:
    shared = make()
    future = join(join(shared), join(shared)).submit()
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 3)
    engine.lose(1, "k")
    engine.lose(2, "k")
    eventually(lambda: len(engine.tasks) == 4)
    engine.end(3, "l")
    eventually(lambda: len(engine.tasks) == 6)
    assert engine.names == ["make", "join", "join"] * 2
    engine.future(4).resolve(1)
    engine.future(5).resolve(2)
    eventually(lambda: len(engine.tasks) == 7)
    engine.future(6).resolve(3)
    assert future.result(60) == 3


def test_a_value_that_this_process_has_is_sent_again(
    engine: Engine, eventually: Eventually
) -> None:
    first = make().submit()
    engine.future(0).resolve(LARGE)
    future = join(first).submit()
    (key,) = engine.tasks[1].values
    engine.lose(1, key)
    eventually(lambda: len(engine.tasks) == 3)
    assert engine.names == ["make", "join", "join"]
    engine.future(2).resolve(1)
    assert future.result(60) == 1


@pytest.mark.parametrize("options", [{}, {"at_most_once": True}])
def test_a_call_that_shared_a_message_with_a_loss_runs_again_unless_at_most_once(
    engine: Engine, eventually: Eventually, options: dict[str, Any]
) -> None:
    """It may have begun: one that must not run twice fails."""
    future = join.with_options(**options)(make()).submit()
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 2)
    engine.lose(1, "another")
    if options:
        assert isinstance(future.exception(60), ValueLostError)
        return
    eventually(lambda: len(engine.tasks) == 3)
    engine.future(2).resolve(1)
    assert future.result(60) == 1
    assert engine.names == ["make", "join", "join"]


def test_a_lost_value_needed_by_a_map_is_computed_again(
    engine: Engine, eventually: Eventually
) -> None:
    results: list[Any] = []
    thread = threading.Thread(
        target=lambda: results.extend(join.map([make()], backend=engine)), daemon=True
    )
    thread.start()
    eventually(lambda: len(engine.tasks) == 1)
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 2)
    engine.lose(1, "k")
    eventually(lambda: len(engine.tasks) == 3)
    engine.end(2, "l")
    eventually(lambda: len(engine.tasks) == 4)
    assert engine.names == ["make", "join"] * 2
    engine.future(3).resolve(ChunkResult([1]))
    thread.join(60)
    assert results == [1]


@pytest.mark.parametrize("why", ["handed out", "at most once", "again and again"])
def test_the_error_for_a_lost_value_names_the_call_and_the_reason(
    engine: Engine, eventually: Eventually, why: str
) -> None:
    call = (make.with_options(at_most_once=True) if why == "at most once" else make)(7)
    future = join(call.submit() if why == "handed out" else call).submit()
    for run in range(0, 6 if why == "again and again" else 2, 2):
        eventually(lambda run=run: len(engine.tasks) == run + 1)
        engine.end(run, f"k{run}")
        eventually(lambda run=run: len(engine.tasks) == run + 2)
        engine.lose(run + 1, f"k{run}")
    error = future.exception(60)
    assert isinstance(error, ValueLostError)
    reason = {
        "handed out": "the result of make is gone from where it was kept, and is not computed "
        "again: the program has its future, or it must run only once",
        "at most once": "the result of make(7) is gone from where it was kept, and is not computed "
        "again: the program has its future, or it must run only once",
        "again and again": "gone",
    }
    assert str(error) == reason[why]


def test_a_value_that_goes_before_the_call_is_sent_is_computed_again(
    engine: Engine, eventually: Eventually
) -> None:
    """Another engine cannot reach it, and this process finds it gone, too."""
    call = make.with_options(backend=engine)()
    with use_backend("threads"):
        future = join(call).submit()
    gone = Failure(ValueLostError("gone"))
    hold = engine.depot().take_over([Reference("k", 7)])
    packed = Packed(engine.depot(), Parcel(b"", values=("k",)), hold)
    engine.future(0).resolve(Unopened(lambda: gone, packed))
    eventually(lambda: len(engine.tasks) == 2)
    engine.future(1).resolve(4)
    assert future.result(60) == (4,)


def test_a_call_that_was_cancelled_does_not_run_again(
    engine: Engine, eventually: Eventually
) -> None:
    """Its future is cancelled while the engine has it."""
    future = join(make()).submit()
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 2)
    inner = engine.future(1)
    inner.withdraw_with(lambda: False)
    inner.stop_with(lambda: inner.fail(ValueLostError("gone", ["k"])))
    inner.cancel = lambda force=False: bool(force and inner._stop())  # type: ignore[method-assign, misc]
    assert future.cancel(force=True)
    with pytest.raises(CallCancelledError):
        future.result(60)
    assert engine.names == ["make", "join"]


def test_a_call_fails_with_the_error_of_an_input_that_runs_again(
    engine: Engine, eventually: Eventually
) -> None:
    """A call that runs only once more waits for it as for the first time."""
    future = join(make(), LARGE).submit()
    engine.end(0, "k")
    eventually(lambda: len(engine.tasks) == 2)
    engine.lose(1, "k")
    eventually(lambda: len(engine.tasks) == 3)
    engine.future(2).fail(ValueError("no luck"))
    with pytest.raises(ValueError, match="no luck") as caught:
        future.result(60)
    (note,) = caught.value.__notes__
    assert note.startswith("join(")
    assert note.endswith(" needed make()")
