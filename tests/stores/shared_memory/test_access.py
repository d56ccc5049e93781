"""Which workers, and which folders and files of theirs, a client accepts."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.errors import ValueLostError
from distribute_challenge.stores import SharedMemoryStore, shared_memory, shared_memory_identity
from tests.processes import run
from tests.stores.shared_memory.files import DATA, attached


def test_the_folder_is_closed_to_other_users(store: SharedMemoryStore) -> None:
    """So is each file."""
    store.put("a", DATA)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.path / "a").stat().st_mode) == 0o600
    assert store.name == f"folder:{store.path}"


def test_a_worker_with_different_shared_memory_cannot_attach(
    store: SharedMemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not matter what else the two can see of each other."""
    own = shared_memory_identity()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    assert SharedMemoryStore.attach(store.path) is None
    assert shared_memory_identity() not in ("", own)


def test_without_shared_memory_no_worker_attaches(
    monkeypatch: pytest.MonkeyPatch, store: SharedMemoryStore
) -> None:
    """The worker says that it has none."""
    monkeypatch.setattr(shared_memory, "shared_folder", lambda: None)
    assert SharedMemoryStore.attach(store.path) is None
    assert shared_memory_identity() == ""


def test_processes_with_the_same_shared_memory_have_the_same_identity(
    root: Path, tmp_path: Path
) -> None:
    """The client knows by this which workers see its folder."""
    program = (
        "from distribute_challenge.stores import shared_memory_identity as i; print(i(), end='')"
    )
    there = run(program, tmp_path / "user", DISTRIBUTE_CHALLENGE_SHARED_FOLDER=str(root))
    assert there == shared_memory_identity()


def test_a_machine_without_a_boot_id_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS has none."""

    def missing(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert shared_memory_identity().startswith(f"{os.uname().nodename} {os.getuid()} ")


def test_a_folder_without_a_living_owner_is_not_used(store: SharedMemoryStore) -> None:
    """No client would ever take a value from it."""
    path = store.path
    store.close()
    assert SharedMemoryStore.attach(path) is None
    path.mkdir(mode=0o700)
    assert SharedMemoryStore.attach(path) is None


def loosen(path: Path) -> None:
    path.chmod(0o755)


def rename(path: Path) -> Path:
    return path.rename(path.parent / "another")


def link(path: Path) -> Path:
    (path.parent / "real").mkdir()
    other = path.rename(path.parent / "real" / path.name)
    path.symlink_to(other)
    return path


@pytest.mark.parametrize("change", [loosen, rename, link])
def test_a_folder_with_other_permissions_or_name_or_a_link_is_not_attached(
    store: SharedMemoryStore, change: Callable[[Path], Any]
) -> None:
    """All users can write to shared memory."""
    assert SharedMemoryStore.attach(change(store.path) or store.path) is None


def test_a_worker_that_puts_a_result_after_close_gets_value_lost_error(
    store: SharedMemoryStore,
) -> None:
    """No client waits for its result."""
    worker = attached(store)
    store.close()
    with pytest.raises(ValueLostError, match="the client that it belonged to has ended"):
        worker.put("result", DATA)
