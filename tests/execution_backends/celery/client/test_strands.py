"""Calls that travel with the calls whose results they need: which do, and what if they do not end."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core import batching
from distribute_challenge.core.futures import Future
from distribute_challenge.errors import SerialisationError, WorkerLostError
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.keys import function_key
from distribute_challenge.execution_backends.celery.client.strands import Strands
from tests.execution_backends.celery.client.test_giving_back import answer
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Taken

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def inc(number: int) -> int:
    return number + 1


@compute_this
def add(one: int, other: Any) -> int:
    return one + int(bool(other))


@compute_this
def invert(number: int) -> float:
    return 1 / number


class Box:
    """A value whose class a module of the project defines."""

    def __init__(self, number: int) -> None:
        self.number = number


@compute_this
def boxed(number: int) -> Box:
    return Box(number)


@compute_this
def unboxed(box: Box) -> int:
    return box.number


@compute_this
def generated(number: int) -> Any:
    return 1 if number else (each for each in [number])


class Rig:
    """A client that knows how long the calls take, and a worker that holds the first call.

    Args:
        backend: The client.
        worker: The worker.
    """

    def __init__(self, backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
        self.backend = backend
        self.worker = worker
        known = inc(1), add(1, 2), invert(1), boxed(1), unboxed(Box(1)), generated(1)
        for call in known:
            worker.serve([call.submit(backend)])
        self.first = inc(-1).submit(backend)
        self._held = worker.take()

    def next_message(self) -> Taken:
        """The message with the calls that need the first one alone."""
        self._held.run()
        return self.worker.take()

    def chain(self, **options: Any) -> list[Future[int]]:
        """Three calls after the first: 1, 2 and 3."""
        second = inc(self.first).submit(self.backend)
        third = add.with_options(**options)(second, second).submit(self.backend)
        return [second, third, inc(third).submit(self.backend)]


@pytest.fixture
def rig(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> Rig:
    monkeypatch.setattr(batching, "TARGET", 1000.0)  # Seconds: for a machine that is slow at times.
    return Rig(backend, worker)


def parts(taken: Taken) -> list[tuple[str, int]]:
    """The functions of a message, with the numbers of their calls."""
    return [(part.name.rpartition(".")[2], len(numbers)) for part, numbers in taken.batch.parts()]


def values(futures: list[Future[Any]]) -> list[Any]:
    return [future.result(DEADLINE) for future in futures]


def test_calls_of_several_functions_share_a_message_with_the_calls_they_need(rig: Rig) -> None:
    """What has ended already counts, too. Each has times of its own."""
    chain = rig.chain()
    both = add(chain[0], rig.first).submit(rig.backend)
    later = add(chain[0], chain[2]).submit(rig.backend)
    ended: list[Any] = []
    chain[0].when_done(ended.append)  # Other parts of the library may wait for it, too.
    taken = rig.next_message()
    assert parts(taken) == [("inc", 1), ("add", 2), ("inc", 1), ("add", 1)]
    assert not rig.worker.waiting()
    taken.run()
    assert values([*chain, both, later]) == [1, 2, 3, 1, 2]
    ends = [each.timeline.finished for each in (chain[0], both, chain[2], later) if each.timeline]
    assert ends == sorted(ends)
    assert len(ends) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 60},
        {"retries": 1},
        {"priority": 3},
        {"queue": "other"},
        {"queue_timeout": 60},
        {"at_most_once": True},
    ],
    ids=lambda options: str(*options),
)
def test_calls_with_different_options_get_messages_of_their_own(
    rig: Rig, options: dict[str, Any]
) -> None:
    """No call follows one that may begin only once, or must begin in time."""
    chain = rig.chain(**options)
    taken = rig.next_message()
    assert parts(taken) == [("inc", 1)]
    taken.run()
    taken = rig.worker.take(options.get("queue", "distribute_challenge"))
    assert parts(taken) == [("add", 1)]
    taken.run()
    rig.worker.serve(chain)
    assert values(chain) == [1, 2, 3]


def test_a_call_of_unknown_duration_gets_a_message_of_its_own(rig: Rig) -> None:
    second = inc(rig.first).submit(rig.backend)
    unknown = compute_this(lambda number: number * 10)(second).submit(rig.backend)
    taken = rig.next_message()
    assert parts(taken) == [("inc", 1)]
    taken.run()
    rig.worker.serve([unknown])
    assert unknown.result() == 10


def test_a_call_that_needs_a_failed_call_does_not_begin(rig: Rig) -> None:
    inverse = invert(rig.first).submit(rig.backend)
    after = inc(inverse).submit(rig.backend)
    taken = rig.next_message()
    assert parts(taken) == [("invert", 1), ("inc", 1)]
    taken.run()
    error = after.exception(DEADLINE)
    assert isinstance(error, ZeroDivisionError)
    assert "needed invert(" in error.__notes__[-1]
    assert after.timeline is None


def test_dependent_calls_that_a_worker_gave_back_are_sent_again(rig: Rig) -> None:
    chain = rig.chain()
    taken = rig.next_message()
    answer(taken, 0, [1], ended=True)
    rig.worker.serve(chain)
    assert values(chain) == [1, 2, 3]


def test_after_the_death_of_a_worker_each_call_gets_a_message_of_its_own(rig: Rig) -> None:
    """So a call that kills its process is found, and no call that follows it is blamed."""
    chain = rig.chain()
    rig.next_message().report("lost", "it died")
    messages = []

    def serve(taken: Taken) -> None:
        messages.append(parts(taken))
        if taken.batch.name.endswith("add"):
            taken.report("lost", "it died")
        else:
            taken.run()

    rig.worker.serve(chain, serve)
    assert messages == [[("inc", 1)], [("add", 1)], [("add", 1)]]
    assert chain[0].result() == 1
    for future in chain[1:]:
        error = future.exception()
        assert isinstance(error, WorkerLostError)
        assert len(error.attempts) == 3


def test_a_function_that_the_worker_lacks_is_sent_again(rig: Rig) -> None:
    chain = rig.chain()
    taken = rig.next_message()
    (digest,) = {part.function for part, _ in taken.batch.parts() if part.name.endswith("add")}
    rig.worker.connection.delete(function_key(digest))
    rig.worker.functions = FunctionCache(rig.worker._payload)
    taken.run()
    rig.worker.serve(chain)
    assert values(chain) == [1, 2, 3]


def test_a_result_with_modules_of_the_project_is_passed_on_by_the_client(rig: Rig) -> None:
    """The client does it; further calls of that function are not sent along in vain."""
    box = boxed(rig.first).submit(rig.backend)
    number = unboxed(box).submit(rig.backend)
    taken = rig.next_message()
    assert parts(taken) == [("boxed", 1), ("unboxed", 1)]
    taken.run()
    rig.worker.serve([number])
    assert number.result() == 0
    third = inc(5).submit(rig.backend)
    taken = rig.worker.take()
    box = boxed(third).submit(rig.backend)
    number = unboxed(box).submit(rig.backend)
    taken.run()
    taken = rig.worker.take()
    assert parts(taken) == [("boxed", 1)]
    taken.run()
    rig.worker.serve([number])
    assert number.result() == 6


def test_a_result_that_cannot_be_pickled_fails_those_that_need_it(rig: Rig) -> None:
    generator = generated(rig.first).submit(rig.backend)
    after = add(1, generator).submit(rig.backend)
    taken = rig.next_message()
    assert parts(taken) == [("generated", 1), ("add", 1)]
    taken.run()
    for future in (generator, after):
        assert isinstance(future.exception(DEADLINE), SerialisationError)


def test_a_value_that_cannot_be_pickled_fails_the_call_that_needs_it(rig: Rig) -> None:
    """The calls beside it run."""
    lock: Future[Any] = Future()
    lock.resolve(threading.Lock())
    second = inc(rig.first).submit(rig.backend)
    third = add(second, lock).submit(rig.backend)
    taken = rig.next_message()
    assert parts(taken) == [("inc", 1)]
    assert isinstance(third.exception(DEADLINE), SerialisationError)
    taken.run()
    assert second.result(DEADLINE) == 1


def test_cancelling_a_call_removes_it_and_its_dependents_from_the_message(
    rig: Rig, eventually: Eventually
) -> None:
    chain = rig.chain()
    rig._held.run()
    eventually(lambda: rig.worker.waiting() == 1)
    assert chain[1].cancel()
    eventually(chain[2].cancelled)
    taken = rig.worker.take()
    assert parts(taken) == [("inc", 1)]
    taken.run()
    assert chain[0].result(DEADLINE) == 1


def test_closing_the_client_cancels_all_calls_of_a_shared_message(rig: Rig) -> None:
    chain = rig.chain()
    rig.next_message()
    rig.backend.close()
    assert all(future.cancelled() for future in chain)


def test_calls_found_for_a_message_that_is_gone_wait_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may have given it up meanwhile."""
    client = rig.backend._client
    assert client is not None
    find = Strands._found
    batches: list[Any] = []

    def found(strands: Strands, batch: Any, slots: int) -> Any:
        result = find(strands, batch, slots)
        if result[0] and not batches:
            batches.append(batch)
            with client._pending:
                client._pending.drop(batch)
                client._pending.put_back(batch.calls)
        return result

    monkeypatch.setattr(Strands, "_found", found)
    chain = rig.chain()
    rig._held.run()
    rig.worker.serve(chain)
    assert values(chain) == [1, 2, 3]
    assert batches
