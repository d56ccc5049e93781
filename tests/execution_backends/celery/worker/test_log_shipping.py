"""Lines travel from a worker's process to their client's list while Redis or the client fails."""

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from distribute_challenge.core.log_lines import decoded
from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.execution.output import LogStream, OutputLog
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.worker import log_shipping
from distribute_challenge.execution_backends.celery.worker.log_shipping import LogShipping
from distribute_challenge.security import Purpose
from tests.execution_backends.celery.conftest import Server
from tests.secret import KEYRING

Eventually = Callable[[Callable[[], bool]], None]
LIST = "distribute_challenge:replies:c"


class Process:
    """A worker's process that ships what it prints."""

    def __init__(self, url: str) -> None:
        self.output = OutputLog(logging.INFO)
        self.stdout = LogStream(1, logging.INFO, self.output)
        self.connection = connect(url)
        self.is_abandoned = self.has_left = False
        clients: Any = SimpleNamespace(has_left=lambda batch: self.has_left)
        self.shipping = LogShipping(
            self.output,
            PipelinedConnection(self.connection),
            KEYRING,
            clients,
            lambda: self.is_abandoned,
        )

    def begin(self, level: int = logging.WARNING) -> None:
        batch = Batch("c-1", "digest", "f", [b""], client="c", reply_to=LIST, logs=level)
        self.shipping.begin(batch, "embedded@test")
        self.shipping.follow([])

    def print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self.stdout)

    def arrived(self) -> list[tuple[int, str]]:
        """Lines on the client's list, each with the number of its reply."""
        sealed: Any = self.connection.lrange(LIST, 0, -1)
        return [
            line
            for frame in sealed
            for line in lines(bytes(KEYRING.open(Purpose.reply(LIST), frame)))
        ]


def lines(frame: bytes) -> list[tuple[int, str]]:
    reply = Reply.decode(frame)
    if not reply.is_log:
        return [(-1, "reply")]
    return [
        (reply.first, text)
        for entry in decoded(reply.sections[0].blob)
        for text in entry.line.text.split("\n")
    ]


@pytest.fixture
def process(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(logging, "basicConfig", logging.basicConfig)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(log_shipping, "SEND_EVERY", 0.01)
    process = Process(server.url)
    yield process
    process.shipping.end()
    process.connection.close()


def test_lines_are_sent_during_the_call_and_the_last_ones_with_the_reply(
    process: Process, eventually: Eventually
) -> None:
    """The lines that the thread has go first, whatever the thread is doing."""
    process.begin()
    for number in range(300):
        process.print(str(number))
    eventually(lambda: len(process.arrived()) == 300)
    process.print("last", end="")
    process.shipping.send_ahead(Reply("c-1", "w", 1.0).encode())
    process.print(" words", end="")
    frames = process.shipping.frames()
    # The thread may have sent the last line just now.
    came = [*process.arrived(), *(line for frame in frames for line in lines(frame))]
    assert [text for _, text in came] == [*map(str, range(300)), "reply", "last words"]
    *numbers, last = (number for number, _ in came if number >= 0)
    assert numbers == sorted(numbers)
    assert last == max(numbers) + 1
    process.shipping.end()
    process.print("too late")
    assert process.shipping.frames() == []


def test_the_thread_rests_without_lines_and_is_woken_by_one(
    process: Process, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call prints nothing for long."""
    monkeypatch.setattr(log_shipping, "IDLE_ROUNDS", 1)
    process.begin()
    for text in ("a", "b"):
        process.print(text)
        eventually(lambda: not process.shipping._wanted.is_set())
    assert [text for _, text in process.arrived()] == ["a", "b"]


def test_lines_are_kept_while_redis_is_away_and_sent_later(
    process: Process, server: Server, eventually: Eventually
) -> None:
    """They come, with their numbers, when Redis is there again."""
    process.begin()
    process.print("before")
    eventually(lambda: len(process.arrived()) == 1)
    server.stop()
    process.print("meanwhile")
    eventually(lambda: bool(process.shipping._unsent))
    process.print("then")
    eventually(lambda: len(process.shipping._unsent) == 2)
    server.start()
    eventually(lambda: len(process.arrived()) == 2)
    assert process.arrived() == [(1, "meanwhile"), (2, "then")]
    assert process.shipping._size == 0


@pytest.mark.parametrize("how", ["is_abandoned", "has_left"])
def test_lines_for_a_client_that_has_left_are_dropped(
    process: Process, eventually: Eventually, how: str
) -> None:
    """What it would have been is not kept either."""
    setattr(process, how, True)
    process.begin()
    process.print("to no one")
    eventually(lambda: process.shipping._number == 1)
    with process.shipping._sending:
        assert (process.arrived(), process.shipping._unsent, process.shipping._size) == ([], [], 0)


def test_lines_are_sent_with_the_reply_if_no_thread_can_be_started(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process can start none when the interpreter ends."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    process.begin()
    process.print("still")
    assert [text for frame in process.shipping.frames() for _, text in lines(frame)] == ["still"]


def test_the_log_shipping_thread_sends_nothing_between_two_messages(process: Process) -> None:
    """The thread comes by between two messages."""
    process.begin()
    process.shipping.end()
    assert not process.shipping._send()
    process.begin()
    assert not process.shipping._send()
