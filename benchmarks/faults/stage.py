"""One system, set up for one fault: its programs, its client, and ways to use and harm them."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from benchmarks.faults.found import Found, evaluate, outcomes
from benchmarks.faults.programs import Program
from benchmarks.faults.systems import System
from benchmarks.rig.diary import Diary
from benchmarks.sessions.dialogue import Dialogue, SessionError
from benchmarks.sessions.services import FOLDER

__all__ = ["AbsentError", "Stage", "StageError"]

START_DEADLINE = 90.0  # Seconds for everything to be up and a call to have run on each worker.
ANSWER_DEADLINE = 30.0  # Seconds for the client to answer an order.
PATIENCE = 60.0  # Seconds after the fault for the calls' outcomes.
# Seconds after the last outcome, so that a call which is begun again after its outcome is counted.
LINGER = 2.0
LOOK_EVERY = 0.01  # Seconds.


class AbsentError(Exception):
    """The system does not offer what the fault needs; the message says why."""


class StageError(Exception):
    """The fault could not be injected; the message says how far the stage came."""


class Stage:
    """A running system with a client, into which a `Fault` is injected.

    Args:
        system: System to start.
        python: Path of an interpreter that has the system installed.
        workers: Number of workers, with one child process each.

    Attributes:
        middle: The program in the middle, such as a Redis server or a scheduler.
        workers: The workers.
        client: The program that makes the calls.
        versions: Versions of the system's packages.
        remarks: Remarks of the fault, beside what became of the calls.

    Raises:
        StageError: The system does not start.
    """

    def __init__(self, system: System, python: str, workers: int) -> None:
        self._system = system
        self._python = python
        self._deployment = system.deployment(python)
        self._diary = Diary(FOLDER / "diary")
        self._calls = 0
        self._since = time.time()
        self.versions: dict[str, str] = {}
        self.remarks: list[str] = []
        self.start_middle()
        self.workers: list[Program] = []
        for number in range(workers):
            may_start = partial(self._deployment.next_may_start, number)
            self.wait_until(may_start, f"the place of worker{number}", START_DEADLINE)
            self.workers.append(self._program(f"worker{number}", self._deployment.worker(number)))
        self._clients = 0
        self.start_client()
        self._warm_up()

    def start_middle(self) -> None:
        """Start the program in the middle, and wait until it answers.

        Raises:
            StageError: The program does not answer within the deadline for a start, or dies.
        """
        self.middle = self._program("middle", self._deployment.middle())

        def is_up_or_gone() -> bool:
            return self._deployment.is_up() or not self.middle.is_running()

        self.wait_until(is_up_or_gone, "the program in the middle to answer", START_DEADLINE)
        if not self.middle.is_running():
            raise StageError(
                f"the program in the middle died with exit code {self.middle.process.poll()}"
            )

    def start_client(self) -> None:
        """Start a client, and wait until it has connected.

        Raises:
            StageError: The client cannot connect.
        """
        self._clients += 1
        self._outcomes = FOLDER / f"outcomes{self._clients}.jsonl"
        command = [
            self._python,
            "-m",
            "benchmarks.faults.client",
            self._system.adapter,
            str(self._outcomes),
        ]
        self.client = self._program(f"client{self._clients}", command, talks=True)
        self._dialogue = Dialogue(self.client.process)
        self.versions = self._answer(lambda: self._dialogue.listen(START_DEADLINE))["versions"]

    def submit(self, count: int, function: str = "work", *arguments: Any) -> range:
        """Let the client make calls of one of `benchmarks.faults.functions`.

        Returns:
            The numbers of the calls.
        """
        numbers = self._new(count)
        self._order("submit", calls=self._described(numbers, function, arguments))
        return numbers

    def submit_detached(self, count: int, function: str, *arguments: Any) -> dict[str, str]:
        """Let the client make detached calls, which go on when it is gone.

        Returns:
            The names of the calls, by number.

        Raises:
            AbsentError: The system has no detached calls.
        """
        calls = self._described(self._new(count), function, arguments)
        names: dict[str, str] = self._order("submit_detached", calls=calls)["names"]
        return names

    def attach(self, names: dict[str, str]) -> None:
        """Let the client ask for detached calls of another client.

        Raises:
            AbsentError: The system has no detached calls.
        """
        self._order("attach", names=names)

    def cancel(self, number: int) -> None:
        """Let the client cancel a running call.

        Raises:
            AbsentError: The system cannot cancel running calls.
        """
        self._order("cancel", number=number)

    def fault_is_now(self) -> None:
        """Start to count the seconds after the fault."""
        self._since = time.time()

    def wait_for_executions(self, count: int, *, of: Iterable[int] | None = None) -> None:
        """Wait until workers have begun some calls.

        Args:
            count: How many calls to wait for.
            of: Numbers of the calls that count; None: all.

        Raises:
            StageError: They have not begun within the deadline for a start.
        """
        wanted = set(range(self._calls) if of is None else of)

        def begun() -> bool:
            return len(wanted.intersection(self._begun())) >= count

        self.wait_until(begun, f"{count} calls to begin", START_DEADLINE)

    def wait_until(self, condition: Callable[[], bool], what: str, deadline: float) -> None:
        """Wait until a condition is true.

        Args:
            condition: Returns whether the wait is over.
            what: What is waited for, for the error.
            deadline: Seconds to wait at most.

        Raises:
            StageError: The condition did not come true within the deadline.
        """
        if not _comes_true(condition, time.monotonic() + deadline):
            raise StageError(f"waited {deadline:g} s for {what}")

    def settle(self, patience: float | None = None) -> Found:
        """Wait for the calls' outcomes, and return what became of the calls.

        Args:
            patience: Seconds to wait after the fault; None: `PATIENCE`.
        """
        patience = PATIENCE if patience is None else patience
        left = self._since + patience - time.time()

        def settled() -> bool:
            return self._have_outcomes(range(self._calls)) or not self.client.is_running()

        _comes_true(settled, time.monotonic() + left)
        if not self.client.is_running():
            self.remarks.append(f"the client died with exit code {self.client.process.poll()}")
        time.sleep(LINGER)
        found = evaluate(range(self._calls), outcomes(self._outcomes), self._begun(), self._since)
        found.remarks = [
            *self.remarks,
            *(f"{each.name} is gone" for each in self._unexpectedly_gone()),
        ]
        return found

    def _unexpectedly_gone(self) -> list[Program]:
        return [
            each
            for each in [self.middle, *self.workers]
            if not each.is_running() and not each.was_killed
        ]

    def _warm_up(self) -> None:
        """Let every worker run a call whose outcome reaches the client.

        So the row measures the fault, and not the start of the system.

        Raises:
            StageError: A program died, or a worker ran no call within the deadline for a start.
        """
        diary, rounds = Diary(FOLDER / "warm-up"), 0
        cold = list(self.workers)
        deadline = time.monotonic() + START_DEADLINE
        while cold:
            for each in self._unexpectedly_gone():
                raise StageError(f"{each.name} died with exit code {each.process.poll()}")
            if time.monotonic() > deadline:
                raise StageError(
                    f"{', '.join(each.name for each in cold)} ran no call within "
                    f"{START_DEADLINE:g} s"
                )
            rounds += 1
            numbers = range(-2 * rounds, -2 * (rounds - 1))
            self._order(
                "submit",
                calls=[[number, "work", [str(diary.folder), number, 0.1]] for number in numbers],
            )
            self.wait_until(
                partial(self._have_outcomes, numbers), "the first calls", START_DEADLINE
            )
            pids = {entry.pid for entry in diary.all()}
            cold = [each for each in cold if not any(map(each.contains, pids))]

    def _begun(self) -> list[int]:
        """Return the number of the call of each execution so far."""
        return [int(entry.call) for entry in self._diary.all()]

    def _have_outcomes(self, numbers: range) -> bool:
        return outcomes(self._outcomes).keys() >= set(numbers)

    def _new(self, count: int) -> range:
        numbers = range(self._calls, self._calls + count)
        self._calls += count
        return numbers

    def _described(
        self, numbers: range, function: str, arguments: Iterable[Any]
    ) -> list[list[Any]]:
        return [
            [number, function, [str(self._diary.folder), number, *arguments]] for number in numbers
        ]

    def _order(self, what: str, **details: Any) -> dict[str, Any]:
        answer = self._answer(lambda: self._dialogue.ask({"do": what, **details}, ANSWER_DEADLINE))
        if "absent" in answer:
            raise AbsentError(answer["absent"])
        return answer

    def _answer(self, get: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return get()
        except SessionError as error:
            raise StageError(f"{self.client.name}: {error}") from error

    def _program(self, name: str, command: list[str], *, talks: bool = False) -> Program:
        return Program(name, command, self._deployment.environment, talks=talks)


def _comes_true(condition: Callable[[], bool], end: float) -> bool:
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_EVERY)
    return True
