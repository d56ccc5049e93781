"""The end of a client's folder: closed, left behind by a dead client, or swept meanwhile."""

import os
import threading
from pathlib import Path

import pytest

from distribute_challenge.owned_folder import OwnerLock, sweep
from distribute_challenge.stores import SharedMemoryStore
from tests.forks import ended, fork
from tests.processes import run, script, wait_until
from tests.stores.shared_memory.files import DATA

CLIENT = """
import sys, time
from pathlib import Path
from distribute_challenge.stores import SharedMemoryStore

store = SharedMemoryStore(Path(sys.argv[1]))
store.put("a", memoryview(b"x" * 2_000_000))
print(store.path, flush=True)
"""


def test_the_folder_is_removed_when_the_store_is_deleted(root: Path) -> None:
    """The folder goes also if the user did not close the store."""
    SharedMemoryStore(root).put("a", DATA)
    assert list(root.iterdir()) == []


def test_the_folder_is_removed_when_the_process_ends(root: Path, tmp_path: Path) -> None:
    """The folder goes also if the user did not close the store."""
    path = Path(run(CLIENT, tmp_path / "user", str(root)).strip())
    assert path.parent == root
    assert not path.exists()


def test_the_folder_of_a_killed_client_is_removed_by_a_sweep(
    store: SharedMemoryStore, root: Path, tmp_path: Path
) -> None:
    """Any process may sweep it, and only after the client's death."""
    store.put("a", DATA)
    with script(CLIENT + "time.sleep(600)", tmp_path / "user", str(root)) as client:
        wait_until(lambda: "\n" in client.output)
        path = Path(client.output.strip())
        assert sweep(root) == []
        client.process.kill()
        client.wait()
        assert path.exists()
        assert sweep(root) == [path]
        assert list(root.iterdir()) == [store.path]
        assert store.get("a", DATA.nbytes) == DATA


def test_a_folder_left_over_from_a_sweep_is_removed_by_the_next_sweep(
    root: Path, store: SharedMemoryStore
) -> None:
    """The lock's file, which goes last but one, may be gone already."""
    left = root / (store.path.name[:-4] + "left")
    left.mkdir(mode=0o700)
    (left / "a").write_bytes(b"x")
    assert sweep(root) == [left]


def test_a_sweep_leaves_other_folders_alone(root: Path) -> None:
    """Other users', other programs', and files; and a root that is not there is no error."""
    (root / f"distribute_challenge-{os.getuid() + 1}-abc").mkdir(mode=0o700)
    (root / f"distribute_challenge-{os.getuid()}-file").write_bytes(b"x")
    (root / "torch").mkdir(mode=0o700)
    assert sweep(root) == []
    assert len(list(root.iterdir())) == 3
    assert sweep(root / "nothing") == []
    assert sweep(None) == []


def test_a_folder_that_is_swept_while_it_is_made_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep cannot tell it from a dead client's until it is locked."""
    real, swept = OwnerLock.take.__func__, []  # type: ignore[attr-defined]

    def take(cls: type[OwnerLock], path: Path, *, wait: bool = False) -> OwnerLock | None:
        if wait and not swept:
            swept.extend(sweep(root))
            assert swept == [path]
        return real(cls, path, wait=wait)  # type: ignore[no-any-return]

    monkeypatch.setattr(OwnerLock, "take", classmethod(take))
    store = SharedMemoryStore(root)
    assert store.path not in swept
    assert OwnerLock.is_held(store.path)


def test_making_folders_and_sweeping_do_not_disturb_each_other(root: Path) -> None:
    """The same with the real thing, many times."""
    stop = threading.Event()

    def sweep_on() -> None:
        while not stop.is_set():
            sweep(root)

    sweeper = threading.Thread(target=sweep_on)
    sweeper.start()
    try:
        for _ in range(100):
            store = SharedMemoryStore(root)
            store.put("a", DATA[:10])
            assert store.get("a", 10) == DATA[:10]
            store.close()
    finally:
        stop.set()
        sweeper.join()
    assert list(root.iterdir()) == []


def test_a_result_that_is_written_at_the_very_end_goes_too(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker does not know that the client is just closing."""
    real, late = Path.rmdir, [store.path / "late"]

    def rmdir(path: Path) -> None:
        if late:
            late.pop().write_bytes(b"x")
        real(path)

    monkeypatch.setattr(Path, "rmdir", rmdir)
    store.close()
    assert not store.path.exists()


def test_a_folder_that_cannot_be_removed_is_given_up(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is free, and the next sweep tries again."""

    def rmdir(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "rmdir", rmdir)
    store.close()
    monkeypatch.undo()
    assert sweep(store.path.parent) == [store.path]


def test_a_fork_of_the_client_removes_nothing(store: SharedMemoryStore) -> None:
    """It is not its folder."""
    store.put("a", DATA)
    assert ended(fork(store.close)) == 0
    assert store.get("a", DATA.nbytes) == DATA
    assert OwnerLock.is_held(store.path)
