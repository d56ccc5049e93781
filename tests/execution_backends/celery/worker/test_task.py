"""A child's work on a batch before and after its calls run; other tests have real workers."""

import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore

from distribute_challenge.core.messages import Batch
from distribute_challenge.errors import VersionMismatchError
from distribute_challenge.execution_backends.celery.worker import task
from distribute_challenge.execution_backends.celery.worker.failed_task import FailedTaskError
from distribute_challenge.execution_backends.celery.worker.failure_log import FailureLog
from distribute_challenge.security import Purpose
from tests.secret import KEYRING


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a batch in a child that answers into a list."""
    sent: list[str] = []
    monkeypatch.setattr(
        task,
        "send_reply",
        lambda line, keyring, reply_to, frame, *, before=(): sent.append(reply_to),
    )

    def run(
        *,
        ends: Any = None,
        has_left: bool = False,
        is_unwanted: bool = False,
        is_abandoned: bool = False,
        keep: int = 0,
        **options: Any,
    ) -> list[str]:
        interruption = SimpleNamespace(
            begin=lambda batch: None,
            is_unwanted=lambda number: is_unwanted,
            is_abandoned=is_abandoned,
        )
        child = SimpleNamespace(
            connection=SimpleNamespace(keyring=KEYRING),
            clients=SimpleNamespace(has_left=lambda batch: has_left),
            functions=SimpleNamespace(load=lambda *_: None),
            interruption=interruption,
            reply_connection=None,
            second_connection=None,
            values=None,
            process=None,
            failure_log=FailureLog(),
        )
        monkeypatch.setattr(task, "_child", lambda pid, app: child)
        batch = Batch(
            "b-1", "d", "f", [b"x"], reply_to="list", issued=time.time(), keep=keep, **options
        )
        bound = SimpleNamespace(
            request=SimpleNamespace(hostname="w@here", id="b-1", reply_to=""), app=None
        )
        with nullcontext() if ends is None else pytest.raises(ends):
            task.run_batch(bound, KEYRING.seal(Purpose.BATCH, [batch.encode()]))
        return sent

    return run


def test_a_batch_is_answered_where_its_signed_header_says(run: Any) -> None:
    assert run() == ["list"]


def test_a_batch_whose_client_has_left_does_not_run(run: Any) -> None:
    assert run(has_left=True, ends=Ignore) == []


def test_a_batch_whose_client_has_left_is_not_answered(run: Any) -> None:
    """A list without a reader would stay in Redis."""
    assert run(is_abandoned=True, ends=Ignore) == []


@pytest.mark.parametrize(("over", "answered"), [(True, []), (False, ["list"])])
def test_a_detached_call_that_is_over_does_not_run_again(
    run: Any, monkeypatch: pytest.MonkeyPatch, over: bool, answered: list[str]
) -> None:
    """A client that attaches may have put its message into the queue a second time."""
    monkeypatch.setattr(
        task, "DetachedRecords", lambda connection: SimpleNamespace(has_ended=lambda batch: over)
    )
    assert run(keep=60) == answered


def test_a_batch_of_another_python_is_a_failed_task(run: Any) -> None:
    """Its client is told, and so is Celery."""
    assert run(ends=FailedTaskError, python="2.7") == ["list"]


def test_a_batch_of_another_version_is_answered_at_the_address_in_its_envelope(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(frame: bytes) -> Batch:
        raise VersionMismatchError("version 99")

    monkeypatch.setattr(task.Batch, "decode", refuse)
    assert run(ends=FailedTaskError) == [""]


def test_a_batch_whose_calls_were_all_cancelled_is_answered_and_no_success(run: Any) -> None:
    assert run(ends=Ignore, is_unwanted=True) == ["list"]
