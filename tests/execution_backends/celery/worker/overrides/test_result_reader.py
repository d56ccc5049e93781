"""What a child of a worker has said in part when the connection to the broker breaks."""

import os
import pickle
import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from distribute_challenge.execution_backends.celery.worker.overrides.result_reader import (
    ResultReader,
)

SAID = 99  # A word of the test's own.


class Hub:
    """Celery's loop: what reads which pipe."""

    def __init__(self) -> None:
        self.readers: dict[int, tuple[Any, tuple[Any, ...]]] = {}

    def add_reader(self, pipe: int, callback: Any, *arguments: Any) -> None:
        self.readers[pipe] = callback, arguments

    def remove_reader(self, pipe: int) -> None:
        self.readers.pop(pipe, None)

    def turn(self, pipe: int) -> None:
        """There is something to be read."""
        callback, arguments = self.readers[pipe]
        if hasattr(callback, "send"):
            for _ in callback:
                return
        else:
            callback(*arguments)


class Stage:
    """A child's pipe, and the main process's end of it."""

    def __init__(self) -> None:
        self.pipe, self.child_end = os.pipe()
        os.set_blocking(self.pipe, False)
        self.child = SimpleNamespace(outqR_fd=self.pipe)
        self.hub = Hub()
        self.heard: list[Any] = []
        nothing: dict[str, Any] = dict.fromkeys(
            (
                "outqueue",
                "get",
                "poll",
                "join_exited_workers",
                "putlock",
                "restart_state",
                "check_timeouts",
            )
        )
        self.results = ResultReader(
            **nothing,
            cache={},
            on_job_ready=None,
            fileno_to_outq={self.pipe: self.child},
            on_process_alive=None,
        )
        self.results.state_handlers[SAID] = self.heard.append
        self.connect()

    def connect(self) -> None:
        """The connection is made, or made anew: nothing of the loop stays."""
        self.hub.readers.clear()
        self.results.register_with_event_loop(self.hub)
        self.hub.add_reader(self.pipe, self.results.handle_event, self.pipe)

    def say(self, data: bytes) -> None:
        os.write(self.child_end, data)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    os.close(stage.pipe)
    os.close(stage.child_end)


def halves(word: str) -> tuple[bytes, bytes]:
    """A message, as a child sends one of more than 16 kB: its length first."""
    body = pickle.dumps((SAID, (word,)))
    return struct.pack("!i", len(body)), body


def go_on(stage: Stage) -> None:
    stage.hub.turn(stage.pipe)


def connect_anew(stage: Stage) -> None:
    stage.connect()
    stage.hub.turn(stage.pipe)


def end(stage: Stage) -> None:
    stage.results.read_last_of(stage.child)


@pytest.mark.parametrize("then", [go_on, connect_anew, end])
def test_a_partly_read_result_is_read_to_its_end(
    stage: Stage, then: Callable[[Stage], None]
) -> None:
    first, second = halves("one")
    stage.say(first)
    stage.hub.turn(stage.pipe)
    assert stage.heard == []
    stage.say(second)
    then(stage)
    assert stage.heard == ["one"]
    # And so is what comes after it.
    stage.say(b"".join(halves("two")))
    while len(stage.heard) < 2:
        stage.hub.turn(stage.pipe)
    assert stage.heard == ["one", "two"]


def test_a_new_child_process_with_the_same_pipe_number_starts_with_an_empty_buffer(
    stage: Stage,
) -> None:
    first, _ = halves("one")
    stage.say(first)
    stage.hub.turn(stage.pipe)
    stage.results.fileno_to_outq[stage.pipe] = other = SimpleNamespace(outqR_fd=stage.pipe)
    stage.results.read_last_of(other)
    stage.connect()
    stage.say(b"".join(halves("two")))
    stage.hub.turn(stage.pipe)
    assert stage.heard == ["two"]


def test_the_pipe_of_a_removed_child_process_is_not_read(stage: Stage) -> None:
    del stage.results.fileno_to_outq[stage.pipe]
    stage.hub.turn(stage.pipe)
    assert stage.hub.readers == {}


def test_reading_ends_with_the_end_of_the_pipe() -> None:
    stage = Stage()
    os.close(stage.child_end)
    stage.hub.turn(stage.pipe)
    assert stage.hub.readers == {}
    os.close(stage.pipe)
