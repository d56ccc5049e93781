"""A pool of processes, and what it does when one dies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import CallCancelledError, VersionMismatchError, WorkerLostError
from distribute_challenge.execution_backends.frames import task_frame
from distribute_challenge.execution_backends.pools import ProcessesExecutionBackend, processes
from distribute_challenge.execution_backends.pools.processes import MOST_ATTEMPTS, _Call, _exit_codes
from distribute_challenge.execution_backends.pools.stop_record import Place, StopRecord
from distribute_challenge.messages import Reply
from distribute_challenge.sections import outcomes_of
from tests.calls import wait_for

TIMEOUT = 30  # Seconds after which a test would rather fail than wait.


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessesExecutionBackend]:
    with ProcessesExecutionBackend(2) as backend:
        yield backend


@compute_this
def leave(x: int) -> int:
    if x % 33 == 7:
        os._exit(3)
    return x


@compute_this
def process_id(x: Any = None) -> int:
    return os.getpid()


def test_there_is_one_process_for_each_core_unless_told(clean_environment: pytest.MonkeyPatch) -> None:
    """Made when first used."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "3")
    assert ProcessesExecutionBackend().concurrency == 3
    assert ProcessesExecutionBackend(5).concurrency == 5


def test_calls_run_in_other_processes(pool: ProcessesExecutionBackend) -> None:
    """Of this machine; the timeline names them."""
    future = process_id().submit(pool)
    assert future.result(30) != os.getpid()
    assert future.timeline is not None
    assert future.timeline.worker.startswith("processes@")
    assert future.timeline.created <= future.timeline.sent <= future.timeline.received


def test_of_many_calls_only_those_that_kill_their_process_fail(pool: ProcessesExecutionBackend) -> None:
    """97 values, 3 errors, and a pool that goes on."""
    futures = [leave(number).submit(pool) for number in range(100)]
    errors = {number for number, future in enumerate(futures) if future.exception(60) is not None}
    assert errors == {7, 40, 73}
    for number, future in enumerate(futures):
        if number in errors:
            with pytest.raises(WorkerLostError, match=f"died {MOST_ATTEMPTS} times.*exit code .*3"):
                future.result()
        else:
            assert future.result() == number
    assert leave(1).compute(pool) == 1


def test_a_map_loses_only_the_calls_that_kill_their_process(pool: ProcessesExecutionBackend) -> None:
    """Whatever travelled with them."""
    results = list(leave.map(range(20), on_error="return", backend=pool))
    assert [number for number, result in enumerate(results) if isinstance(result, WorkerLostError)] == [7]
    assert [result for result in results if isinstance(result, int)] == [n for n in range(20) if n != 7]


def test_a_call_whose_process_is_killed_once_runs_again(pool: ProcessesExecutionBackend, tmp_path: Path) -> None:
    """The second process does it."""

    def die_once(path: str) -> str:
        if not os.path.exists(path):
            Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    assert compute_this(die_once)(str(tmp_path / "died")).compute(pool) == "survived"


def test_a_function_is_sent_to_a_process_that_has_not_seen_it(pool: ProcessesExecutionBackend) -> None:
    """Every process answers, whichever got the function first."""
    assert len({process_id(n).compute(pool) for n in range(50)}) <= 2
    assert [*compute_this(lambda x: -x).map(range(100), batch_size=1, backend=pool)] == [-n for n in range(100)]


def test_a_call_that_runs_when_the_pool_is_closed_is_cancelled(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """And its process is gone."""

    def wait(path: str) -> None:
        import time

        Path(path).write_text(str(os.getpid()))
        time.sleep(60)

    path = tmp_path / "id"
    pool = ProcessesExecutionBackend(1)
    future = compute_this(wait)(str(path)).submit(pool)
    eventually(lambda: path.exists() and bool(path.read_text()))
    pool.close()
    with pytest.raises(CallCancelledError):
        future.result(30)
    eventually(lambda: not _is_alive(int(path.read_text())))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()


def test_calls_that_all_kill_their_process_all_fail() -> None:
    """One after the other, each for itself."""
    with ProcessesExecutionBackend(1) as pool:
        futures = [leave(7).submit(pool) for _ in range(2)]
        assert all(isinstance(future.exception(30), WorkerLostError) for future in futures)


def test_a_script_that_ends_leaves_no_process_and_says_nothing() -> None:
    """Without closing anything."""
    program = """
from distribute_challenge import compute_this
import os
f = compute_this(lambda: os.getpid(), backend="processes")
print(f().compute())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert not _is_alive(int(done.stdout))


@pytest.mark.parametrize(
    ("text", "codes"), [("exit codes of the workers are {SIGKILL(-9)}\nmore", "{SIGKILL(-9)}"), ("", "unknown")]
)
def test_exit_codes_are_read_from_loky_s_words(text: str, codes: str) -> None:
    """Or unknown, if it words them otherwise one day."""
    assert _exit_codes(RuntimeError(text)) == codes


def test_a_process_keeps_a_function_s_payload_only_while_it_may_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again if it is another process than the one that got it."""
    task = compute_this(len)("abc")._task()
    record, place = StopRecord(1), Place(0, 1)
    monkeypatch.setattr(processes, "_interruption", processes._CallInterruption(record), raising=False)
    (missing,) = processes._run_in_child(task_frame(task), None, place)
    assert Reply.decode(missing).problem is not None
    for payload in (task.function.payload, None):
        (frame,) = processes._run_in_child(task_frame(task), payload, place)
        assert outcomes_of(Reply.decode(frame)) == [3]
    assert processes._child_payloads == {}


def test_an_error_of_the_pool_itself_is_the_call_s(
    monkeypatch: pytest.MonkeyPatch, pool: ProcessesExecutionBackend
) -> None:
    """Whatever it is, nobody waits for ever."""
    monkeypatch.setattr(processes, "task_frame", lambda task: b"no frame")
    with pytest.raises(VersionMismatchError, match="a message starts with"):
        leave(1).compute(pool, timeout=30)


def test_a_suspect_of_a_pool_that_was_closed_meanwhile_fails() -> None:
    """It is neither run again nor forgotten."""
    pool = ProcessesExecutionBackend(1)
    pool.close()
    call = processes._Call(process_id()._task())
    pool._suspect(call, OSError("its process died"))
    with pytest.raises(CallCancelledError, match="closed"):
        call.future.result(timeout=10)


def test_a_loop_in_c_is_cancelled_by_killing_its_process_and_nobody_else_is_harmed(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """What else the pool had begins again, all at once and not one by one as suspects do."""

    @compute_this
    def count(number: int) -> int:
        (tmp_path / str(number)).touch()
        return sum(range(10**12))

    with ProcessesExecutionBackend(2) as backend:
        door = str(tmp_path / "door")
        neighbour = wait_for(door).submit(backend)
        future = count(1).submit(backend)
        eventually((tmp_path / "1").exists)
        eventually(Path(door + ".begun").exists)
        Path(door + ".begun").unlink()
        assert future.cancel(force=True)
        others = [wait_for(door).submit(backend) for _ in range(3)]
        eventually(Path(door + ".begun").exists)
        Path(door).touch()
        assert [each.result(TIMEOUT) for each in (neighbour, *others)] == ["done"] * 4
        assert future.cancelled()
        assert not backend._quarantine._waiting


def test_a_call_that_is_handed_over_and_not_begun_does_not_begin(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """The pool has more calls than processes, so that these do not wait for the next."""
    with ProcessesExecutionBackend(1) as backend:
        door = str(tmp_path / "door")
        first = wait_for(door).submit(backend)
        eventually(Path(door + ".begun").exists)
        second = wait_for(str(tmp_path / "second")).submit(backend)
        assert second.cancel(force=True)
        Path(door).touch()
        assert first.result(TIMEOUT) == "done"
        assert compute_this(len)("abc").compute(backend) == 3
        assert not Path(str(tmp_path / "second.begun")).exists()


def test_a_call_that_ends_while_it_is_cancelled_is_over(tmp_path: Path) -> None:
    """There is nothing to stop any more; nor is a process killed that has gone on to another call."""
    with ProcessesExecutionBackend(1) as backend:
        future = compute_this(len)("abc").submit(backend)
        assert future.result(TIMEOUT) == 3
        pool = backend._pool
        pool._stop(_Call(compute_this(len)("abc")._task()))
        pool._kill(pool._executor, Place(0, 99))
        assert compute_this(len)("abcd").compute(backend) == 4
