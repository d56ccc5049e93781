"""Values as files in shared memory: results that become the client's, and memory that runs out."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from distribute_challenge.errors import StoreFullError, SystemFailureError
from distribute_challenge.owned_folder import NAME, OwnerLock
from distribute_challenge.stores import SharedMemoryStore, shared_memory
from tests.forks import ended, fork
from tests.processes import wait_until
from tests.stores.shared_memory.files import DATA, attached, values

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


# --- results


@pytest.mark.parametrize("size", [0, 100, DATA.nbytes])
def test_an_adopted_result_leaves_the_folder_and_is_writable(
    store: SharedMemoryStore, size: int
) -> None:
    """It leaves the folder at once, and is writable."""
    attached(store).put("result", DATA[:size])
    found = store.adopt("result", size)
    assert found is not None
    assert values(store) == []
    array = np.frombuffer(found, dtype=np.uint8)
    array += 1
    assert bytes(found[:3]) == bytes([1, 2, 3])[:size]


def test_adopting_a_missing_result_returns_none(store: SharedMemoryStore) -> None:
    """The caller knows what that means."""
    assert store.adopt("result", 5) is None


def test_stray_results_are_removed_after_an_hour(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_the_half_written_file_of_a_killed_process_is_removed_at_the_next_renewal(
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


# --- no room


def test_put_leaves_some_shared_memory_free_for_others(
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


def test_the_file_size_limit_of_the_process_raises_store_full_error(
    store: SharedMemoryStore,
) -> None:
    """The kernel raises a real error, after a part of the value."""

    def put() -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            store.put("a", DATA)
        except StoreFullError:
            return values(store) == []
        return False

    assert ended(fork(put)) == 1


def test_other_write_errors_are_not_reported_as_a_full_store(
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
