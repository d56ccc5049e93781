"""Replies with lines, as a client takes them in."""

import json
import time
from collections.abc import Callable, Iterator
from contextvars import Context

import pytest

from distribute_challenge import compute_this
from distribute_challenge.core.log_lines import Entry, LogLine, encoded
from distribute_challenge.core.messages import Reply
from distribute_challenge.core.section import Section
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client.log_display import LogDisplay, Printout
from distribute_challenge.execution_backends.celery.client.log_printer import LogPrinter
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(number: int) -> int:
    return number * number


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url, logs=True) as backend:
        yield backend


def say(taken: Taken, text: str, *, number: int = 0, call: int = 0, worker: str = "w-1") -> None:
    section = Section("log", 1, encoded([Entry(call, LogLine("stdout", text, 1.0))]))
    taken.push(
        Reply(
            taken.batch.id, worker, time.time(), first=number, sections=[section], ended=False
        ).encode()
    )


def test_lines_that_come_twice_are_shown_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker sends them again if it does not know that they have arrived.

    Another worker begins anew.
    """
    future = square(3).submit(backend)
    taken = worker.take()
    assert taken.batch.logs == 30  # The level of the root logger.
    say(taken, "a")
    say(taken, "b", number=1)
    say(taken, "a")
    say(taken, "b", number=1)
    say(taken, "c", worker="w-2")
    taken.run()
    assert future.result(DEADLINE) == 9
    assert [line.text for line in future.logs()] == ["a", "b", "c"]
    assert capsys.readouterr().out == "square@w-1 │ a\nsquare@w-1 │ b\nsquare@w-2 │ c\n"


def test_lines_that_arrive_after_their_message_has_ended_are_dropped(
    backend: CeleryExecutionBackend, worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines of a call that the message does not have belong to its last call."""
    future = square(3).submit(backend)
    taken = worker.take()
    say(taken, "in time", call=7)
    taken.run()
    say(taken, "too late")
    assert future.result(DEADLINE) == 9
    next_one = square(4).submit(backend)
    worker.serve([next_one])
    assert [line.text for line in future.logs()] == ["in time"]
    assert capsys.readouterr().out == "square@w-1 │ in time\n"


def test_malformed_log_lines_are_refused_and_the_call_gets_its_value(
    backend: CeleryExecutionBackend, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused; so are lines beside outcomes, which would be unpickled as such."""
    future = square(3).submit(backend)
    taken = worker.take()
    log = Section("log", 1, json.dumps([[0, "stdin", "text", 1.0, {}]]).encode())
    lines = Section("log", 1, encoded([]))
    for sections, ended in (([log], False), ([lines], True), ([lines, lines], False)):
        taken.push(Reply(taken.batch.id, "w", time.time(), sections=sections, ended=ended).encode())
    taken.run()
    assert future.result(DEADLINE) == 9
    assert future.logs() == []
    assert "it has a line that none can have" in caplog.text
    assert "it has lines beside something else" in caplog.text


def test_in_a_notebook_lines_are_shown_in_the_context_of_their_call(
    server: Server, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call's to its own; tests/test_notebook.py has a real one."""
    contexts: list[Context | None] = []

    def show(display: LogDisplay, printout: Printout) -> None:
        contexts.append(printout.context)

    monkeypatch.setattr(client_module, "is_notebook", lambda: True)
    monkeypatch.setattr(LogDisplay, "show", show)
    with CeleryExecutionBackend(server.url, logs=True) as backend:
        for _ in range(2):
            future = square(3).submit(backend)
            taken = worker.take()
            say(taken, "a")
            say(taken, "b", number=1)
            taken.run()
            future.result(DEADLINE)
    first, second, third, fourth = contexts
    assert first is second is not third is fourth
    assert isinstance(first, Context)


def test_showing_a_line_while_the_interpreter_ends_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No thread can be started, and nothing fails."""

    def refuse(thread: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr("threading.Thread.start", refuse)
    printer = LogPrinter()
    printer.put(Printout("f@w", [(LogLine("stdout", "a", 0.0), {})]))
    printer.close()
