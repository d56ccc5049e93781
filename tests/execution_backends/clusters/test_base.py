"""What the engines on clusters share, on a cluster that does what the test says."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from distribute_challenge import Future, compute_this
from distribute_challenge.errors import (
    BackendError,
    CallCancelledError,
    SystemFailureError,
    TaskLostError,
    WorkerLostError,
)
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.execution_backends.clusters import base
from distribute_challenge.execution_backends.clusters.base import ClusterBackend, ClusterCall
from distribute_challenge.execution_backends.clusters.worker_calls import Answer, Message
from distribute_challenge.execution_backends.frames import task_frame
from distribute_challenge.execution_backends.tried_call import ProcessEnd
from tests.calls import double
from tests.execution_backends.clusters.test_worker_calls import task_of
from tests.forks import ended, fork

TIMEOUT = 30  # Seconds after which a test would rather fail than wait.
UNBEGUN = Answer(end=ProcessEnd("w", "it died", {}, has_begun=False, was_slow=False))


class Cluster(ClusterBackend):
    """Answers each message with what a function returns for its number, from 1 on."""

    system = "a cluster"

    def __init__(self, answer: Callable[[int, ClusterCall], Answer | BaseException]) -> None:
        super().__init__()
        self.answer = answer
        self.messages: list[Message] = []
        self.stopped: list[ClusterCall] = []

    def _count_slots(self) -> int:
        return 0

    def _start(self, call: ClusterCall, message: Message) -> None:
        self.messages.append(message)
        answer = self.answer(len(self.messages), call)
        if isinstance(answer, KeyError):
            raise SystemFailureError("it is gone")
        if isinstance(answer, KeyboardInterrupt):
            raise answer
        self._answered(message.id, answer)

    def _failure(self, call: ClusterCall, error: BaseException) -> Answer | BaseException:
        return TaskLostError(f"{call.name}: {error}")

    def _withdraw(self, call: ClusterCall) -> bool:
        return True

    def _is_running(self, call: ClusterCall) -> bool:
        return True

    def _stop(self, calls: Sequence[ClusterCall]) -> None:
        self.stopped += calls

    def _disconnect(self, calls: Sequence[ClusterCall]) -> None:
        self._stop(calls)


@pytest.fixture
def closing() -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def make(answer: Callable[[int, ClusterCall], Any]) -> Cluster:
        made.append(Cluster(answer))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


def test_a_cluster_without_workers_gets_calls_nevertheless(closing: Callable[..., Cluster]) -> None:
    """It may start workers for them."""
    assert closing(lambda number, call: Answer()).concurrency == 1


def test_a_function_goes_along_if_the_worker_asks_for_it(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: Answer(needs_function=True) if number == 1 else UNBEGUN)
    cluster._known.add(task_of(double(1)).function.digest)
    double(1).submit(cluster).exception(TIMEOUT)
    first, second, *_ = cluster.messages
    assert first.payload is None
    assert second.payload is not None


def test_a_call_that_never_begins_is_sent_three_times_and_then_fails(
    closing: Callable[..., Cluster],
) -> None:
    cluster = closing(lambda number, call: UNBEGUN)
    error = double(1).submit(cluster).exception(TIMEOUT)
    assert isinstance(error, WorkerLostError)
    assert len(cluster.messages) == 3
    assert len({message.id for message in cluster.messages}) == 3


def test_a_call_that_cannot_be_sent_again_fails(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: UNBEGUN if number == 1 else KeyError())
    with pytest.raises(SystemFailureError, match="it is gone"):
        double(1).submit(cluster).result(TIMEOUT)


def test_a_call_that_is_cancelled_while_it_is_sent_again_is_stopped(
    closing: Callable[..., Cluster],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    def cancel(number: int, call: ClusterCall) -> Answer:
        if number == 2:
            Future.cancel(call)
        return UNBEGUN

    cluster = closing(cancel)
    call = double(1).submit(cluster)
    eventually(lambda: cluster.stopped == [call])
    assert call.cancelled()


def test_an_answer_that_no_call_waits_for_is_dropped(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: OSError())
    cluster._answered("another", Answer())
    with pytest.raises(TaskLostError, match="double"):
        double(1).submit(cluster).result(TIMEOUT)


def test_a_repr_does_not_ask_the_cluster(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: Answer())
    future = double(1).submit(cluster)
    assert future.running()
    assert repr(future) == "<Future double(1) pending>"
    assert future.cancel()
    assert not future.running()
    assert future.cancel(force=True)


def test_functions_beyond_the_number_remembered_are_sent_again(
    closing: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "MOST_KNOWN", 1)
    cluster = closing(lambda number, call: Answer(reply_frames(call)))
    calls = [compute_this(lambda x, y=number: x + y)(1) for number in range(3)]
    assert [call.compute(cluster) for call in calls] == [1, 2, 3]
    assert calls[0].compute(cluster) == 1
    assert calls[0].compute(cluster) == 1
    assert [message.payload is None for message in cluster.messages] == [*[False] * 4, True]


def reply_frames(call: ClusterCall) -> Sequence[bytes]:
    """What a worker answers after the call, which runs here."""
    function = call.task.function
    functions = FunctionCache({function.digest: function.payload}.get)
    return list(execute(task_frame(call.task), functions, "w"))


def test_ctrl_c_while_a_call_is_sent_stops_it(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        double(1).submit(cluster)
    (call,) = cluster.stopped
    assert call.cancelled()
    assert not cluster.unfinished()


def test_a_closed_backend_takes_no_calls(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: Answer())
    cluster.close()
    with pytest.raises(CallCancelledError, match="closed"):
        double(1).submit(cluster)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_makes_a_backend_of_its_own(closing: Callable[..., Cluster]) -> None:
    cluster = closing(lambda number, call: Answer())

    def is_refused() -> bool:
        cluster.close()
        with pytest.raises(BackendError, match="make another one in this process"):
            double(1).submit(cluster)
        return not cluster._is_closed

    assert ended(fork(is_refused)) == 1


def test_a_call_fails_that_gets_no_answer_as_its_connection_has_ended(
    closing: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "LOOK_AGAIN_AFTER", 0.01)
    cluster = closing(lambda number, call: Answer())
    monkeypatch.setattr(cluster, "_start", lambda call, message: None)
    future = double(1).submit(cluster)
    cluster._look_after_connections()
    assert not future.done()
    error = SystemFailureError("it has ended")
    monkeypatch.setattr(cluster, "_end_of_connection", lambda call: error)
    assert future.exception(TIMEOUT) is error
    assert not cluster._out
