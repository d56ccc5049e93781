"""The kernel knows which process owns a folder."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from distribute_challenge import owned_folder
from distribute_challenge.owned_folder import OwnerLock
from tests.forks import ended, fork
from tests.processes import alive, script, wait_until

HOLD = """
import os, sys, time
from pathlib import Path
from distribute_challenge.owned_folder import OwnerLock

lock = OwnerLock.take(Path(sys.argv[1]))
print("taken", flush=True)
{then}
time.sleep(600)
"""


def taken(folder: Path) -> OwnerLock:
    lock = OwnerLock.take(folder)
    assert lock is not None
    return lock


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    """It has it until the owner gives the folder back."""
    assert not OwnerLock.is_held(tmp_path)
    lock = taken(tmp_path)
    assert lock.mine
    assert OwnerLock.is_held(tmp_path)
    assert OwnerLock.take(tmp_path) is None
    lock.release()
    assert not OwnerLock.is_held(tmp_path)
    taken(tmp_path).release()


def test_a_missing_folder_cannot_be_owned(tmp_path: Path) -> None:
    """It cannot have one."""
    assert OwnerLock.take(tmp_path / "nothing") is None
    assert not OwnerLock.is_held(tmp_path / "nothing")


def test_a_process_that_waits_while_the_folder_is_removed_does_not_own_it(tmp_path: Path) -> None:
    """The lock that it gets in the end is a lock on a file without a name."""
    folder = tmp_path / "folder"
    folder.mkdir()
    sweeper = taken(folder)
    read, write = os.pipe()
    child = fork(lambda: os.write(write, b"x") and OwnerLock.take(folder, wait=True))
    assert os.read(read, 1) == b"x"
    shutil.rmtree(folder)
    sweeper.release()
    assert ended(child) == 0


def test_the_kernel_frees_the_folder_of_a_killed_owner(tmp_path: Path) -> None:
    """The owner may die in any way."""
    with script(HOLD.format(then=""), tmp_path, str(tmp_path)) as owner:
        owner.wait_for("taken")
        assert OwnerLock.is_held(tmp_path)
        owner.process.kill()
        owner.wait()
    assert not OwnerLock.is_held(tmp_path)


def test_a_fork_of_the_owner_does_not_keep_the_folder(tmp_path: Path) -> None:
    """It may live long after it."""
    then = "if child := os.fork():\n    print(f'forked {child}', flush=True)"
    with script(HOLD.format(then=then), tmp_path, str(tmp_path)) as owner:
        owner.wait_for("forked")
        child = int(owner.output.split()[-1])
        try:
            assert OwnerLock.is_held(tmp_path)
            owner.process.kill()
            owner.wait()
            wait_until(lambda: not OwnerLock.is_held(tmp_path), "the end of the lock")
            assert alive([child])
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_fork_knows_that_the_lock_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it has nothing to tidy up. A descriptor that other code has closed does not matter."""
    lock = taken(tmp_path)
    monkeypatch.setattr(owned_folder, "_held", {*owned_folder._held, 10**6})
    assert ended(fork(lambda: lock.mine or owned_folder._held)) == 0
    assert OwnerLock.is_held(tmp_path)
    monkeypatch.undo()
    lock.release()
