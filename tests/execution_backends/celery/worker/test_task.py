"""What a child does with a batch before and after the calls in it run; the calls themselves are in the tests of real workers."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from distribute_challenge.execution_backends.celery.worker import task
from distribute_challenge.messages import Batch
from distribute_challenge.security import Purpose
from tests.secret import KEYRING


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a batch in a child that answers into a list."""
    sent: list[str] = []
    monkeypatch.setattr(task, "send_reply", lambda line, keyring, reply_to, frame: sent.append(reply_to))

    def run(*, has_left: bool = False, is_abandoned: bool = False, keep: int = 0) -> list[str]:
        interruption = SimpleNamespace(
            begin=lambda batch: None, is_unwanted=lambda number: False, is_abandoned=is_abandoned
        )
        child = SimpleNamespace(
            connection=SimpleNamespace(keyring=KEYRING),
            clients=SimpleNamespace(has_left=lambda batch: has_left),
            functions=SimpleNamespace(load=lambda *_: None),
            interruption=interruption,
            line=None,
            second_line=None,
            values=None,
        )
        monkeypatch.setattr(task, "_child", lambda pid, app: child)
        batch = Batch("b-1", "d", "f", [b"x"], reply_to="list", issued=time.time(), keep=keep)
        bound = SimpleNamespace(request=SimpleNamespace(hostname="w@here", id="b-1", reply_to=""), app=None)
        task.run_batch(bound, KEYRING.seal(Purpose.BATCH, [batch.encode()]))
        return sent

    return run


def test_a_batch_is_answered_where_its_signed_header_says(run: Any) -> None:
    assert run() == ["list"]


def test_a_batch_whose_client_has_left_does_not_run(run: Any) -> None:
    assert run(has_left=True) == []


def test_where_nobody_reads_nothing_is_answered(run: Any) -> None:
    """A list that nobody reads would stay in Redis."""
    assert run(is_abandoned=True) == []


@pytest.mark.parametrize(("over", "answered"), [(["b-1"], []), ([], ["list"])])
def test_a_detached_call_that_is_over_does_not_run_again(
    run: Any, monkeypatch: pytest.MonkeyPatch, over: list[str], answered: list[str]
) -> None:
    """Whoever attaches may have put its message into the queue a second time."""
    monkeypatch.setattr(task, "DetachedRecords", lambda connection: SimpleNamespace(over=lambda batches: over))
    assert run(keep=60) == answered
