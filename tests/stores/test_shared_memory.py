"""Values as files in shared memory, and what becomes of them."""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distribute_challenge.errors import StoreFullError, SystemFailureError, ValueLostError
from distribute_challenge.owned_folder import NAME, OwnerLock, sweep
from distribute_challenge.stores import SharedMemoryStore, shared_memory, shared_memory_identity
from tests.forks import ended, fork
from tests.processes import run, script, wait_until

DATA = memoryview(bytes(range(256)) * 8192)

CLIENT = """
import sys, time
from pathlib import Path
from distribute_challenge.stores import SharedMemoryStore

store = SharedMemoryStore(Path(sys.argv[1]))
store.put("a", memoryview(b"x" * 2_000_000))
print(store.path, flush=True)
"""

# Writes a value into a folder, and stops after ten bytes.
WRITER = """
import os, sys, time
from pathlib import Path
from distribute_challenge.stores.shared_memory import SharedMemoryStore

write = os.write

def write_slowly(file, data):
    write(file, data[:10])
    time.sleep(60)

os.write = write_slowly
SharedMemoryStore.attach(Path(sys.argv[1])).put("value", memoryview(bytes(1000)))
"""


@pytest.fixture
def store(root: Path) -> SharedMemoryStore:
    return SharedMemoryStore(root)


def attached(store: SharedMemoryStore) -> SharedMemoryStore:
    worker = SharedMemoryStore.attach(store.path)
    assert worker is not None
    return worker


def values(store: SharedMemoryStore) -> list[str]:
    return sorted(name for name in os.listdir(store.path) if name != NAME)


def test_the_folder_is_closed_to_other_users(store: SharedMemoryStore) -> None:
    """So is each file."""
    store.put("a", DATA)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.path / "a").stat().st_mode) == 0o600
    assert store.name == f"folder:{store.path}"


# --- results


@pytest.mark.parametrize("size", [0, 100, DATA.nbytes])
def test_a_result_becomes_the_client_s_alone(store: SharedMemoryStore, size: int) -> None:
    """It leaves the folder at once, and is writable."""
    attached(store).put("result", DATA[:size])
    found = store.adopt("result", size)
    assert found is not None
    assert values(store) == []
    array = np.frombuffer(found, dtype=np.uint8)
    array += 1
    assert bytes(found[:3]) == bytes([1, 2, 3])[:size]


def test_a_result_that_is_not_there_is_none(store: SharedMemoryStore) -> None:
    """The caller knows what that means."""
    assert store.adopt("result", 5) is None


def test_strays_go_after_an_hour(store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result whose reply was lost; not what the client knows, nor anything new."""
    for name in ("known", "stray", "new"):
        store.put(name, DATA)
    long_ago = os.stat(store.path).st_mtime - 2 * shared_memory.STRAY_AFTER
    for name in ("known", "stray", NAME):
        os.utime(store.path / name, (long_ago, long_ago))
    store.renew(["known"])
    assert len(values(store)) == 3, "it does not look all the time"
    monkeypatch.setattr(shared_memory, "LOOK_FOR_STRAYS", 0)
    attached(store).renew([])
    assert len(values(store)) == 3, "that is not for workers to decide"
    store.renew(["known"])
    assert values(store) == ["known", "new"]
    assert OwnerLock.is_held(store.path)
    store.close()
    store.renew([])


def test_what_a_killed_process_has_half_written_goes_at_the_next_look(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another one is writing stays."""
    monkeypatch.setattr(shared_memory, "LOOK_FOR_STRAYS", 0)
    monkeypatch.setattr(shared_memory, "LOCKED_WITHIN", 0)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store.path)]) as writer:
        try:
            wait_until(
                lambda: [os.stat(store.path / name).st_size for name in values(store)] == [10],
                "its file",
            )
            store.renew([])
            assert len(values(store)) == 1
        finally:
            writer.kill()
    (store.path / f"{shared_memory.UNFINISHED}gone").symlink_to(
        "nowhere"
    )  # As if it were given its name at this moment.
    store.renew([])
    assert values(store) == [f"{shared_memory.UNFINISHED}gone"]


# --- who gets in


def test_a_worker_with_other_shared_memory_does_not_get_in(
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


def test_two_processes_with_the_same_shared_memory_say_the_same(root: Path, tmp_path: Path) -> None:
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
def test_what_is_not_made_as_we_make_it_is_not_ours(
    store: SharedMemoryStore, change: Callable[[Path], Any]
) -> None:
    """All users can write to shared memory."""
    assert SharedMemoryStore.attach(change(store.path) or store.path) is None


def test_a_worker_that_comes_too_late_hears_that_the_client_is_gone(
    store: SharedMemoryStore,
) -> None:
    """No client waits for its result."""
    worker = attached(store)
    store.close()
    with pytest.raises(ValueLostError, match="the client that it belonged to has ended"):
        worker.put("result", DATA)


# --- no room


def test_shared_memory_is_left_to_others_before_it_is_full(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says how large, how much is free, and what to do."""
    real = os.statvfs(store.path)
    free = 1_500_000 // real.f_frsize
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:4], free, *real[5:])))
    with pytest.raises(
        StoreFullError,
        match=r"a value of 2.1 MB does not fit .* where 1.5 MB are free: .*--shm-size",
    ):
        store.put("a", DATA)
    assert values(store) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.ENOMEM])
def test_memory_that_runs_out_in_the_middle_is_an_error_and_no_crash(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What was written of it is gone."""
    real = os.write

    def write(file: int, data: memoryview) -> int:
        if len(data) < 1_500_000:
            raise OSError(number, os.strerror(number))
        return real(file, data[:700_000])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreFullError, match=r"2.1 MB does not fit"):
        store.put("a", DATA)
    assert values(store) == []
    monkeypatch.undo()
    store.put("a", DATA)


def test_a_limit_of_the_process_is_no_room_either(store: SharedMemoryStore) -> None:
    """The kernel raises a real error, after a part of the value."""

    def put() -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            store.put("a", DATA)
        except StoreFullError:
            return values(store) == []
        return False

    assert ended(fork(put)) == 1


def test_another_error_is_not_taken_for_a_lack_of_room(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it is."""

    def write(file: int, data: memoryview) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(
        SystemFailureError, match=r"a value cannot be written to .*broken"
    ) as caught:
        store.put("a", DATA)
    assert not isinstance(caught.value, StoreFullError)


# --- the end


def test_the_folder_goes_with_the_object(root: Path) -> None:
    """The folder goes also if the user did not close the store."""
    SharedMemoryStore(root).put("a", DATA)
    assert list(root.iterdir()) == []


def test_the_folder_goes_with_the_process(root: Path, tmp_path: Path) -> None:
    """The folder goes also if the user did not close the store."""
    path = Path(run(CLIENT, tmp_path / "user", str(root)).strip())
    assert path.parent == root
    assert not path.exists()


def test_a_killed_client_s_folder_is_swept(
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


def test_what_a_sweep_left_over_is_swept_by_the_next(root: Path, store: SharedMemoryStore) -> None:
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
