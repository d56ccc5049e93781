"""Whether a call runs, as far as its client can know."""

from collections.abc import Callable

import pytest
import redis

from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.client import publisher
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.outbox import Outbox
from tests.execution_backends.celery.client.messages import hold
from tests.execution_backends.celery.client.test_giving_back import answer, crowd_in_a_message
from tests.execution_backends.celery.conftest import FakeWorker

Eventually = Callable[[Callable[[], bool]], None]


def test_a_call_runs_when_a_worker_has_its_message_and_the_calls_before_it_have_ended(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client knows both from Redis."""
    crowd, taken = crowd_in_a_message(backend, worker, eventually)
    assert [call.running() for call in crowd[:3]] == [False, False, False]
    assert not crowd[-1].running()
    hold(taken)
    assert [call.running() for call in crowd[:3]] == [True, False, False]
    assert repr(crowd[0]) == "<Future square(0) pending>"  # Showing it asks no server.
    answer(taken, 0, [0], kept=4)
    eventually(crowd[0].done)
    assert [call.running() for call in crowd[:3]] == [False, True, False]
    with monkeypatch.context() as context:
        context.setattr(publisher, "are_held", unreachable)
        assert not crowd[1].running()
    answer(taken, 1, [1, 4, 9], ended=True)
    worker.serve(crowd)
    assert not any(call.running() for call in crowd)


def test_a_call_whose_message_is_still_being_sent_does_not_run() -> None:
    task = Task(FunctionPayload("f", b"", "f"), b"", CallOptions(), 0.0)
    call = Call(task, lambda call: False)
    call.batch = SentBatch("id", Outbox().group_of(task), [call], 1.0)
    assert not call.running()


def unreachable(*_: object) -> None:
    raise redis.ConnectionError
