"""One benchmark at a time for each port."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters import run_lock
from distribute_challenge.benchmarking.clusters.run_lock import RunLock
from distribute_challenge.errors import ClusterStartError
from tests.processes import script, wait_until

HOLDER = """
    import subprocess, sys, time
    from distribute_challenge.benchmarking.clusters.run_lock import RunLock

    lock = RunLock(7)
    lock.take()
    child = subprocess.Popen(["sh", "-c", sys.argv[1]], pass_fds=[lock.file])
    print("held", flush=True)
    time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_taken_lock_refuses_others_until_it_is_released() -> None:
    lock, other = RunLock(7), RunLock(7)
    assert not lock.held
    lock.take()
    assert lock.held
    with pytest.raises(
        ClusterStartError,
        match=rf"another benchmark \(process {os.getpid()}\) has .* port 7\n.*PORT=8",
    ):
        other.take()
    assert not other.held
    RunLock(8).take()
    lock.release()
    lock.release()
    other.take()
    other.release()


@pytest.mark.parametrize("anew", [False, True])
def test_a_lock_file_that_its_holder_has_removed_is_opened_again(
    anew: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for again."""
    lock, wait = RunLock(7), RunLock._wait
    taken = []

    def removed_meanwhile(self: RunLock, file: int) -> None:
        wait(self, file)
        taken.append(file)
        if len(taken) == 1:
            (path,) = folder.glob("*.lock")
            path.unlink()
            if anew:
                path.touch()

    monkeypatch.setattr(RunLock, "_wait", removed_meanwhile)
    lock.take()
    assert len(taken) == 2
    with pytest.raises(ClusterStartError):
        RunLock(7).take()
    lock.release()
    assert list(folder.glob("*.lock")) == []


def test_the_error_for_a_taken_lock_names_the_process_that_holds_it(folder: Path) -> None:
    with script(HOLDER, folder, "true") as holder:
        holder.wait_for("held")
        with pytest.raises(ClusterStartError, match=rf"process {holder.process.pid}\)"):
            RunLock(7).take()


def test_the_lock_of_a_killed_holder_is_taken_when_its_commands_have_ended(folder: Path) -> None:
    """They may still be making containers."""
    source = "while [ ! -e go ]; do sleep 0.01; done; sleep 0.1; touch ended"
    with script(HOLDER, folder, source) as holder:
        holder.wait_for("held")
        holder.send(signal.SIGKILL)
        holder.wait()
        (folder / "go").touch()
        lock = RunLock(7)
        lock.take()
        assert (folder / "ended").exists()
        lock.release()


def test_a_command_of_a_killed_holder_that_does_not_end_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "LEFT_RUNNING", 0.1)
    with script(HOLDER, folder, "while [ ! -e go ]; do sleep 0.01; done; touch ended") as holder:
        holder.wait_for("held")
        holder.send(signal.SIGKILL)
        holder.wait()
        with pytest.raises(ClusterStartError, match=r"a command of process \d+, which is gone"):
            RunLock(7).take()
        (folder / "go").touch()
        wait_until((folder / "ended").exists)


def test_a_lock_held_by_a_process_without_a_written_pid_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "LEFT_RUNNING", 0.0)
    lock = RunLock(7)
    lock.take()
    os.truncate(lock.file, 0)
    with pytest.raises(ClusterStartError, match="another benchmark"):
        RunLock(7).take()
    lock.release()
