"""A call that kills the process it runs in: it alone pays for that."""

import ctypes
import os
import resource
import signal
import socket

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import WorkerLostError
from tests.faults.conftest import Make

pytestmark = pytest.mark.slow

CALLS = 1_000
# Which calls die, of what, and what their error calls that.
DEATHS = {
    0: ("exit", "7"),
    **dict.fromkeys((100, 101), ("segfault", "SIGSEGV")),
    999: ("kill", "SIGKILL"),
}


@compute_this
def fragile(number: int, death: str) -> int:
    if death == "exit":
        os._exit(7)
    if death == "segfault":
        ctypes.string_at(0)
    if death == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@compute_this
def out_of_address_space(more: int) -> int:
    """Ask for more memory than this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more // 2, hard))
    try:
        return len(bytearray(more))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.deadline(150)
def test_of_a_thousand_calls_four_kill_their_process_and_all_others_give_their_values(
    make: Make,
) -> None:
    rig, backend = make(workers=1, processes=2)
    before = rig.workers[0].pid
    futures = [
        fragile(number, DEATHS.get(number, ("", ""))[0]).submit(backend) for number in range(CALLS)
    ]
    values = [number for number, future in enumerate(futures) if future.exception(80) is None]
    assert values == [number for number in range(CALLS) if number not in DEATHS]
    assert all(futures[number].result() == number for number in values)
    for number, (_, cause) in DEATHS.items():
        error = futures[number].exception()
        assert isinstance(error, WorkerLostError), (number, error)
        # Which call, where, of what and how often.
        for word in ("fragile", str(number), socket.gethostname(), cause, "3"):
            assert word in str(error), str(error)
    assert rig.workers[0].pid == before
    assert rig.workers[0].code is None


def test_a_call_whose_memory_is_not_granted_fails_with_its_own_error_and_costs_no_process(
    make: Make,
) -> None:
    rig, backend = make(workers=1)
    assert fragile(1, "").compute(backend, timeout=60) == 1
    before = rig.workers[0].children()
    futures = [
        out_of_address_space(1 << 30).submit(backend),
        *(fragile(n, "").submit(backend) for n in range(20)),
    ]
    assert isinstance(futures[0].exception(60), MemoryError)
    assert [future.result(60) for future in futures[1:]] == list(range(20))
    assert rig.workers[0].children() == before
