"""Stopping what runs, in the main thread by a signal and in other threads by an exception."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from distribute_challenge.errors import CallTimeoutError
from distribute_challenge.execution.coroutines import run_to_completion
from distribute_challenge.execution.interruption import (
    LOOK,
    WHOLE,
    Interruption,
    StoppedError,
    ThreadInterruption,
    loops,
)
from distribute_challenge.execution.time_limit import TimeLimit

DEADLINE = 60  # Seconds after which a test would rather fail than wait.

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def unwanted() -> set[int]:
    return set()


@pytest.fixture
def interruption(unwanted: set[int]) -> Iterator[Interruption]:
    """An interruption that listens in this process until the test ends."""
    before = signal.getsignal(LOOK)
    interruption = Interruption(unwanted.__contains__, lambda number: None)
    interruption.listen()
    yield interruption
    signal.signal(LOOK, before)


def stop_soon(unwanted: set[int], number: int) -> None:
    """Have a call stop, from beside it."""

    def stop() -> None:
        unwanted.add(number)
        os.kill(os.getpid(), LOOK)

    threading.Timer(0.05, stop).start()


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    "wait",
    [spin, lambda: time.sleep(DEADLINE), threading.Event().wait, lambda: os.read(os.pipe()[0], 1)],
)
def test_a_cancelled_call_is_stopped_where_it_is(
    wait: Callable[[], Any], interruption: Interruption, unwanted: set[int]
) -> None:
    """It may be in Python code, in a sleep, at a lock, or reading."""
    stop_soon(unwanted, 7)
    assert interruption.run(7, lambda number: wait(), lambda: "stopped") == "stopped"


def test_a_call_is_not_stopped_for_another_one(
    interruption: Interruption, unwanted: set[int]
) -> None:
    """A signal that comes late, or when nothing runs, finds nothing to stop."""
    unwanted.add(3)
    os.kill(os.getpid(), LOOK)

    def call(number: int) -> str:
        os.kill(os.getpid(), LOOK)
        return "ran"

    assert interruption.run(4, call, lambda: "stopped") == "ran"


def test_a_cancelled_call_does_not_begin(interruption: Interruption, unwanted: set[int]) -> None:
    unwanted.add(WHOLE)
    assert (
        interruption.run(WHOLE, lambda number: pytest.fail("it ran"), lambda: "stopped")
        == "stopped"
    )


def test_the_interruption_reports_which_call_runs() -> None:
    told: list[int] = []
    interruption = Interruption(lambda number: False, told.append)
    assert [
        interruption.run(number, lambda number: "ran", lambda: "stopped") for number in (1, 2)
    ] == ["ran", "ran"]
    assert told == [1, 2]


def test_stopping_a_call_ends_its_time_limit(
    interruption: Interruption, unwanted: set[int]
) -> None:
    """The timer does not go off later, in other code. The call does not count as out of time."""

    def limited(number: int) -> None:
        with TimeLimit(DEADLINE, "call").running():
            spin()

    stop_soon(unwanted, 0)
    assert interruption.run(0, limited, lambda: "stopped") == "stopped"
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    with pytest.raises(CallTimeoutError), TimeLimit(0.01, "later").running():
        spin()


def test_a_call_that_catches_everything_is_asked_once(
    interruption: Interruption, unwanted: set[int]
) -> None:
    """It goes on. Only the end of its process ends it."""
    caught = []

    def stubborn(number: int) -> str:
        for _ in range(2):
            try:
                unwanted.add(0)
                os.kill(os.getpid(), LOOK)
                time.sleep(0.01)
            except BaseException as error:
                caught.append(type(error))
        return "ran"

    assert interruption.run(0, stubborn, lambda: "stopped") == "ran"
    assert caught == [StoppedError]


def test_a_coroutine_is_stopped_where_it_waits(
    interruption: Interruption, unwanted: set[int]
) -> None:
    """Its ``finally`` runs, and the thread's next coroutine runs as if nothing had been."""
    ended = []

    async def wait() -> None:
        try:
            await asyncio.sleep(DEADLINE)
        finally:
            ended.append(True)

    stop_soon(unwanted, 0)
    assert (
        interruption.run(0, lambda number: run_to_completion(wait()), lambda: "stopped")
        == "stopped"
    )
    assert ended == [True]
    assert run_to_completion(asyncio.sleep(0, "next")) == "next"


class Block:
    """Code that runs in its own thread until it is stopped. It may set ``begun`` itself."""

    def __init__(self, run: Callable[[], Any], begun: threading.Event | None = None) -> None:
        self.interruption = ThreadInterruption()
        self.begun = begun or threading.Event()
        self._says_so = begun is not None
        self.end: BaseException | str | None = None
        self._run = run
        self.thread = threading.Thread(target=self._main)

    def _main(self) -> None:
        try:
            with self.interruption.listening():
                if not self._says_so:
                    self.begun.set()
                self._run()
            self.end = "ended"
        except BaseException as error:
            self.end = error

    def stopped(self) -> bool:
        self.thread.start()
        assert self.begun.wait(DEADLINE)
        self.interruption.stop()
        self.thread.join(DEADLINE)
        return isinstance(self.end, StoppedError)


def test_a_thread_is_stopped_at_its_next_line() -> None:
    assert Block(spin).stopped()


def test_a_thread_that_waits_for_events_is_woken(eventually: Eventually) -> None:
    """A thread that runs a coroutine waits so."""
    block = Block(lambda: run_to_completion(asyncio.sleep(DEADLINE)))
    block.thread.start()
    eventually(lambda: block.thread.ident in loops and loops[block.thread.ident].is_running())
    block.interruption.stop()
    block.thread.join(DEADLINE)
    assert isinstance(block.end, StoppedError)
    assert block.thread.ident not in loops


def test_a_coroutine_that_computes_is_stopped_at_its_next_line(eventually: Eventually) -> None:
    """It does not come back to its loop."""
    computing = threading.Event()

    async def compute() -> None:
        computing.set()
        spin()

    block = Block(lambda: run_to_completion(compute()), computing)
    assert block.stopped()
    assert block.thread.ident not in loops


def test_a_loop_that_has_just_been_closed_needs_no_waking() -> None:
    """The exception comes all the same."""

    def spin_beside_a_closed_loop() -> None:
        loop = asyncio.new_event_loop()
        loop.close()
        loops[threading.get_ident()] = loop
        try:
            spin()
        finally:
            del loops[threading.get_ident()]

    block = Block(spin_beside_a_closed_loop)
    block.thread.start()
    while block.thread.ident not in loops:
        assert block.thread.is_alive()
    block.interruption.stop()
    block.thread.join(DEADLINE)
    assert isinstance(block.end, StoppedError)


def test_a_block_that_was_stopped_before_it_began_does_not_begin() -> None:
    block = Block(lambda: pytest.fail("it ran"))
    block.interruption.stop()
    block.thread.start()
    block.thread.join(DEADLINE)
    assert isinstance(block.end, StoppedError)
    assert not block.begun.is_set()


def test_a_block_that_has_ended_cannot_be_stopped() -> None:
    """The code that the thread runs after it goes on, too."""
    interruption = ThreadInterruption()
    with interruption.listening():
        pass
    interruption.stop()
    assert sum(range(1000)) == 499500


def test_an_exception_that_comes_when_the_block_has_ended_is_caught() -> None:
    """What the thread does next is not stopped for it."""
    interruption = ThreadInterruption()
    ends: list[str] = []

    def run() -> None:
        with interruption.listening():
            # The block ends while it is being stopped.
            interruption._lock.acquire()
            threading.Timer(0.05, stop_and_let_go).start()
        ends.append("ended")

    def stop_and_let_go() -> None:
        unlocked = ThreadInterruption()
        unlocked._thread = interruption._thread
        interruption._unwanted = True
        unlocked.stop()
        interruption._lock.release()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(DEADLINE)
    assert ends == ["ended"]
