"""Processes that are replaced, under load: after so many calls, or when they hold much memory."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution.end_signals import OrderlyEnd
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.worker.overrides import pool as worker_pool
from distribute_challenge.execution_backends.celery.worker.overrides.pool import _Child
from tests.calls import process_of
from tests.execution_backends.celery.conftest import Server
from tests.processes import Program, program

pytestmark = [pytest.mark.celery, pytest.mark.slow]

DEADLINE = 60  # Seconds; each new process takes a tenth, and longer on a busy machine.
WORKER = """
import sys
from distribute_challenge.execution_backends.celery.worker.main import run_worker

limits = dict(zip(sys.argv[2::2], map(int, sys.argv[3::2])))
sys.exit(run_worker(sys.argv[1], concurrency=2, **limits))
"""


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a worker with two processes and these limits."""
    running = []

    def started(**limits: int) -> Program:
        words = [str(word) for pair in limits.items() for word in pair]
        context = program([sys.executable, "-c", WORKER, server.url, *words], tmp_path / "worker")
        worker = context.__enter__()
        running.append((context, worker))
        worker.wait_for("ready")
        return worker

    yield started
    for context, worker in running:
        worker.process.terminate()
        assert worker.wait() == 0
        assert "Traceback" not in worker.output
        context.__exit__(None, None, None)


@pytest.fixture
def backend(server: Server) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(server.url) as backend:
        yield backend


@pytest.mark.usefixtures("unmeasured")
def test_no_call_is_lost_while_processes_are_replaced_after_some_calls(
    start: Callable[..., Program], backend: CeleryExecutionBackend
) -> None:
    """It is calls that count, and not messages."""
    start(max_calls=200)
    mapped = list(process_of.map(range(4000), batch_size=40, backend=backend))
    assert [number for number, _ in mapped] == list(range(4000))
    by_process = Counter(pid for _, pid in mapped)
    assert len(by_process) >= 4000 // 240
    assert max(by_process.values()) <= 240  # A message is run to its end.


def test_single_calls_are_not_lost_when_each_process_is_replaced_after_one_call(
    start: Callable[..., Program], backend: CeleryExecutionBackend
) -> None:
    """Each of them is sent to an idle process, just when one goes."""
    start(max_calls=1)
    found = [process_of(number).compute(backend, timeout=DEADLINE) for number in range(8)]
    assert [number for number, _ in found] == list(range(8))
    assert len({pid for _, pid in found}) == 8


@pytest.mark.usefixtures("unmeasured")
def test_many_submitted_calls_are_not_lost_while_processes_are_replaced(
    start: Callable[..., Program], backend: CeleryExecutionBackend
) -> None:
    start(max_calls=3)
    futures = [process_of(number).submit(backend) for number in range(90)]
    assert [future.result(DEADLINE)[0] for future in futures] == list(range(90))


def test_a_process_that_holds_too_much_is_replaced(
    start: Callable[..., Program], backend: CeleryExecutionBackend
) -> None:
    """A process that held much and freed it is not."""

    def hoard(size: int, keep: bool) -> int:
        import sys

        memory = bytearray(size)
        memory[:: 1 << 12] = b"x" * len(range(0, size, 1 << 12))
        if keep:
            sys.hoarded = memory  # type: ignore[attr-defined]
        return os.getpid()

    start(max_memory=120_000_000)
    hoards = compute_this(hoard)
    modest = {hoards(150_000_000, False).compute(backend, timeout=DEADLINE) for _ in range(6)}
    assert len(modest) <= 2
    greedy = [hoards(150_000_000, True).compute(backend, timeout=DEADLINE) for _ in range(3)]
    assert len(set(greedy)) == 3


@pytest.mark.parametrize(
    ("calls", "memory", "resident", "enough"),
    [
        (None, None, 1 << 40, False),
        (5, None, None, True),
        (6, None, None, False),
        (None, 100, 100 * 1024 + 1, True),
        (None, 100, 100 * 1024, False),
        (None, 1 << 40, None, False),  # Unknown: the most that it ever held stands for it.
    ],
)
def test_a_process_is_replaced_after_its_maximum_of_calls_or_memory(
    monkeypatch: pytest.MonkeyPatch,
    calls: int | None,
    memory: int | None,
    resident: int | None,
    enough: bool,
) -> None:
    monkeypatch.setattr(worker_pool, "calls_run", lambda: 5)
    monkeypatch.setattr(worker_pool, "resident", lambda: resident)
    child: Any = _Child.__new__(_Child)
    child._most_calls, child._most_memory, child._end = calls, 1024 * (memory or 0), OrderlyEnd()
    assert child._has_done_enough() is enough
