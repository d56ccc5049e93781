"""The end of an executor: its shutdown, its loss, and the end of the program."""

import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from distribute_challenge import Executor
from distribute_challenge.execution_backends import sized
from tests.executor.calls import wait_for
from tests.processes import PATIENCE, environment, wait_until

Eventually = Callable[[Callable[[], bool]], None]
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


def test_after_shutdown_calls_are_refused_and_those_submitted_run(tmp_path: Path) -> None:
    door = tmp_path / "door"
    executor = Executor(2, backend="threads")
    future = executor.submit(wait_for, str(door))
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(abs, 1)
    assert not future.done()
    door.touch()
    executor.shutdown()
    assert future.done()
    executor.shutdown(cancel_futures=True)


def test_shutdown_cancels_calls_that_wait(tmp_path: Path, eventually: Eventually) -> None:
    """Not those that workers have begun, or could begin."""
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    executor = Executor(2, backend="threads")
    futures = [executor.submit(wait_for, door, str(begun)) for _ in range(6)]
    eventually(begun.exists)
    executor.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in futures] == [False] * 2 + [True] * 4
    Path(door).touch()
    executor.shutdown()
    assert futures[0].result() == futures[1].result() == door


def test_an_executor_that_is_dropped_lets_its_calls_end(
    tmp_path: Path, eventually: Eventually
) -> None:
    """Then its engine is free."""
    sized.close_unused()
    door = tmp_path / "door"
    executor = Executor(2, backend="threads")
    dropped = weakref.ref(executor)
    future = executor.submit(wait_for, str(door))
    del executor
    gc.collect()
    assert dropped() is None
    assert [shared.users for shared in sized._shared.values()] == [1]
    door.touch()
    assert future.result(TIMEOUT) == str(door)
    eventually(lambda: [shared.users for shared in sized._shared.values()] == [0])


def test_an_executor_without_calls_is_free_at_once(eventually: Eventually) -> None:
    sized.close_unused()
    executor = Executor(2, backend="threads")
    executor.shutdown(wait=False)
    eventually(lambda: [shared.users for shared in sized._shared.values()] == [0])


PROGRAM = """
import atexit, sys, time

@atexit.register
def submit_late():
    try:
        executor.submit(abs, 1)
    except RuntimeError as error:
        print(str(error).partition(":")[0])

from distribute_challenge import Executor

def note(path):
    time.sleep(0.5)
    open(path, "w").close()

if __name__ == "__main__":
    executor = Executor(1)
    for number in range(2):
        executor.submit(note, f"{sys.argv[1]}/{number}")
    Executor(1, backend="threads").submit(note, f"{sys.argv[1]}/2")
"""


@pytest.mark.slow
def test_at_its_end_a_program_waits_for_what_it_has_submitted(tmp_path: Path) -> None:
    """Nothing is cancelled, and nothing is warned of. Further calls are refused."""
    script, notes = tmp_path / "script.py", tmp_path / "notes"
    script.write_text(PROGRAM)
    notes.mkdir()
    done = subprocess.run(
        [sys.executable, script, notes],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env=environment(),
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n"
    assert sorted(os.listdir(notes)) == ["0", "1", "2"]


INTERRUPTED = """
import atexit, pathlib, sys, time
from distribute_challenge import Executor

def nap(path):
    pathlib.Path(path, "begun").touch()
    time.sleep(600)

if __name__ == "__main__":
    atexit.register(pathlib.Path(sys.argv[1], "ending").touch)
    Executor(1, backend="processes").submit(nap, sys.argv[1])
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_waiting_at_the_end_of_a_program(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    running = subprocess.Popen(
        [sys.executable, script, tmp_path], stderr=subprocess.PIPE, text=True, env=environment()
    )
    wait_until((tmp_path / "begun").exists, "the call")
    wait_until((tmp_path / "ending").exists, "the end of the program")

    def has_ended() -> bool:
        running.send_signal(signal.SIGINT)  # The program may not wait yet.
        return running.poll() is not None

    wait_until(has_ended, "the end after Ctrl+C")
    assert "KeyboardInterrupt" in running.communicate()[1]
