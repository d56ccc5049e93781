"""Lists the faults in the order of the tables, each written once for all systems."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults.found import Found
from benchmarks.faults.stage import Stage, StageError
from benchmarks.sessions.services import REDIS_PORT

__all__ = ["FAULTS", "Fault"]

CALL = 0.5  # Seconds that a call takes, if it is to take time.
# Calls begun before a fault, so that both workers have finished some and run another one.
UNDER_WAY = 4
FROZEN = 15.0  # Seconds.
DOWN = 2.0  # Seconds between the death of the program in the middle and its next start.
SLOT_DEADLINE = 10.0  # Seconds after a cancellation.
REDIS = ("distribute_challenge", "celery")  # Systems that keep calls in Redis.


@dataclass(frozen=True)
class Fault:
    """A fault that is injected while calls run.

    Attributes:
        name: Name for ``--faults``.
        title: First cell of the rows of this fault.
        inject: Makes the calls, injects the fault, and returns what became of the calls.
        workers: Number of workers, with one child process each.
        systems: Names of the systems that can have this fault; None: all.
    """

    name: str
    title: str
    inject: Callable[[Stage], Found]
    workers: int = 2
    systems: tuple[str, ...] | None = None

    def befalls(self, system: str) -> bool:
        """Return whether a system can have this fault."""
        return self.systems is None or system in self.systems


def _call_kills(stage: Stage) -> Found:
    stage.fault_is_now()
    stage.submit(50, "work", 0.01)
    stage.submit(1, "die")
    stage.submit(49, "work", 0.01)
    return stage.settle()


def _worker_killed(stage: Stage) -> Found:
    _begin(stage, 40)
    stage.workers[0].kill()
    return stage.settle()


def _worker_frozen(stage: Stage) -> Found:
    # So few that the other worker has finished the rest before this one wakes.
    _begin(stage, 20)
    stage.workers[0].freeze()
    time.sleep(FROZEN)
    stage.workers[0].wake()
    return stage.settle()


def _middle_restarted(stage: Stage) -> Found:
    _begin(stage, 20)
    stage.middle.kill()
    time.sleep(DOWN)
    try:
        stage.start_middle()
    except StageError as error:
        stage.remarks.append(f"cannot be started again: {error}")
    return stage.settle()


def _redis_emptied(stage: Stage) -> Found:
    _begin(stage, 20, under_way=1)
    _tell_redis(b"FLUSHALL\r\n")
    return stage.settle()


def _client_killed(stage: Stage) -> Found:
    names = stage.submit_detached(10, "work", CALL)
    stage.wait_for_executions(2)
    stage.fault_is_now()
    stage.client.kill()
    stage.start_client()
    stage.attach(names)
    return stage.settle()


def _call_cancelled(stage: Stage) -> Found:
    (endless,) = stage.submit(1, "endless")
    stage.wait_for_executions(1, of=[endless])
    stage.fault_is_now()
    stage.cancel(endless)
    stage.submit(1, "work")
    found = stage.settle(SLOT_DEADLINE)
    free = (
        "the slot is free again"
        if found.values
        else f"the slot is not free again within {SLOT_DEADLINE:g} s"
    )
    found.remarks.insert(0, free)
    return found


def _begin(stage: Stage, number: int, *, under_way: int = UNDER_WAY) -> None:
    """Make calls, and wait until some of them have begun: then comes the fault."""
    calls = stage.submit(number, "work", CALL)
    stage.wait_for_executions(under_way, of=calls)
    stage.fault_is_now()


def _tell_redis(command: bytes) -> None:
    with socket.create_connection(("127.0.0.1", REDIS_PORT), timeout=SLOT_DEADLINE) as connection:
        connection.sendall(command)
        answer = connection.recv(100)
    if not answer.startswith(b"+OK"):
        raise StageError(f"Redis answered {answer!r} to {command!r}")


_ALL = (
    Fault("call-kills", "one of 100 calls kills its process (`os._exit`)", _call_kills),
    Fault("worker-killed", "`kill -9` of one of two workers, 40 calls of 0.5 s", _worker_killed),
    Fault(
        "worker-frozen",
        "one of two workers frozen for 15 s, then woken, 20 calls of 0.5 s",
        _worker_frozen,
    ),
    Fault(
        "middle-restarted",
        "broker or scheduler killed, back 2 s later, 20 calls of 0.5 s",
        _middle_restarted,
    ),
    Fault("redis-emptied", "`FLUSHALL` with 20 calls queued", _redis_emptied, systems=REDIS),
    Fault("client-killed", "client killed, another one asks for its 10 results", _client_killed),
    Fault(
        "call-cancelled",
        "a call in C code cancelled, the only slot is needed for another",
        _call_cancelled,
        workers=1,
    ),
)

FAULTS = {fault.name: fault for fault in _ALL}
