"""What a worker's main process says when a child cannot."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import WorkerLostError
from celery.worker.request import Request

from distribute_challenge.core.messages import Batch, Problem, Reply
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.worker.cancellation import cancelled_calls
from distribute_challenge.execution_backends.celery.worker.gate import Gate
from distribute_challenge.execution_backends.celery.worker.overrides.request import (
    BatchRequest,
    answer,
)
from distribute_challenge.security import Purpose
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING

BATCH = Batch("b-1", "d", "square", [b"x"], reply_to="the-list", issued=time.time())


@pytest.fixture
def fail(server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has a request for a message fail with an error, as Celery tells it."""
    monkeypatch.setattr(Request, "on_failure", lambda *_, **__: "told Celery")
    monkeypatch.setattr(Request, "_announce_revoked", lambda *_: revoked.append("revoked"))
    app = SimpleNamespace(gate=Gate(KEYRING, print), url=server.url)
    revoked: list[str] = []

    def failing(envelope: Any, error: BaseException) -> Any:
        request: Any = BatchRequest.__new__(BatchRequest)
        request._app, request._message, request.worker_pid = app, SimpleNamespace(_raw=envelope), 7
        request._hostname, request.id = "worker@here", BATCH.id
        revoked.clear()
        return (request.on_failure(SimpleNamespace(exception=error)) or "") + "".join(revoked)

    return failing


def envelope(frame: bytes | None = None) -> dict[str, Any]:
    class Frame(Batch):
        def encode(self) -> bytes:
            return super().encode() if frame is None else frame

    fields = {name: getattr(BATCH, name) for name in BATCH.__dataclass_fields__}
    admitted = Gate(KEYRING, print).admitted(
        message_for(Frame(**fields), queue="q", priority=0, keyring=KEYRING).data, "q"
    )
    assert admitted is not None
    return admitted


def test_the_main_process_answers_a_message_that_its_child_could_not_run(
    fail: Any, server: Server
) -> None:
    """The answer has the error that the child raised, and goes to the signed list."""
    assert fail(envelope(), TypeError("no such thing")) == "told Celery"
    found: Any = connect(server.url).lpop("the-list")
    problem = Reply.decode(KEYRING.open(Purpose.reply("the-list"), found)).problem
    assert problem is not None
    assert problem.kind == "lost"
    assert "TypeError: no such thing) on worker@here" in problem.text


def test_a_memory_error_of_a_child_process_is_reported_as_out_of_memory(
    fail: Any, server: Server
) -> None:
    """Celery would take an error for want of memory as the main process's own, and end."""
    assert fail(envelope(), MemoryError("no room")) == "told Celery"
    found: Any = connect(server.url).lpop("the-list")
    problem = Reply.decode(KEYRING.open(Purpose.reply("the-list"), found)).problem
    assert problem is not None
    assert problem.facts["out_of_memory"] is True


@pytest.mark.parametrize("is_abandoned", [False, True])
def test_a_child_process_killed_for_a_cancelled_call_is_a_revoked_task(
    fail: Any, server: Server, monkeypatch: pytest.MonkeyPatch, is_abandoned: bool
) -> None:
    """It is a revoked task. Where its client is gone, nothing is answered."""
    monkeypatch.setattr(cancelled_calls, "is_concerned", lambda batch: True)
    monkeypatch.setattr(cancelled_calls, "is_abandoned", lambda batch: is_abandoned)
    assert fail(envelope(), WorkerLostError("killed")) == "revoked"
    found: Any = connect(server.url).lpop("the-list")
    if is_abandoned:
        assert found is None
        return
    problem = Reply.decode(KEYRING.open(Purpose.reply("the-list"), found)).problem
    assert problem is not None
    assert problem.kind == "cancelled"


def test_a_child_process_that_died_on_an_unreadable_version_gets_no_answer(
    fail: Any, server: Server
) -> None:
    """The worker knows no more of that version than its child did, so it tells Celery."""
    assert fail(envelope(b"DCF9 and what comes behind it"), TypeError("x")) == "told Celery"
    assert connect(server.url).keys() == []


def test_an_answer_that_redis_refuses_is_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The main process has others to serve."""
    connect(server.url).set("the-list", "x")
    answer(server.url, BATCH, Problem("expired", "old"))
    assert "cannot tell the client what became of square: " in caplog.text
