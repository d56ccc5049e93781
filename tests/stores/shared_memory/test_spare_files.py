"""The files of freed values, which new values are written into."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge.core import clock
from distribute_challenge.errors import StoreFullError
from distribute_challenge.stores import SharedMemoryStore, spare_files
from distribute_challenge.stores.shared_memory import LOOK_FOR_STRAYS, SPARE
from distribute_challenge.stores.spare_files import KEPT_FOR, SpareFiles
from tests.stores.shared_memory.files import attached

SIZE = 1 << 20

# Maps a file, waits, and then reads it.
READER = """
import mmap, sys
file = open(sys.argv[1], "rb")
data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
file.close()
print("mapped", flush=True)
sys.stdin.read()
print(set(data[:]))
"""


@pytest.fixture
def store(root: Path) -> Iterator[SharedMemoryStore]:
    store = SharedMemoryStore(root)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def _enough_room(monkeypatch: pytest.MonkeyPatch) -> None:
    # The file system of the tests may be small.
    monkeypatch.setattr(spare_files, "LARGEST_SHARE", 1)


def content(number: int, size: int = SIZE) -> memoryview:
    return memoryview(bytes([number]) * size)


def spare(store: SharedMemoryStore) -> list[int]:
    """The sizes of the spare files."""
    folder = store.path / SPARE
    return sorted(path.stat().st_size for path in folder.iterdir()) if folder.exists() else []


def file_number(store: SharedMemoryStore, key: str) -> int:
    return (store.path / key).stat().st_ino


def freed(store: SharedMemoryStore, key: str, size: int = SIZE) -> int:
    """Put and free a value, and return the number of its file."""
    store.put(key, content(1, size))
    number = file_number(store, key)
    store.delete([key])
    return number


def wait_for_another_time(folder: Path) -> None:
    """Wait until the coarse clock of the file system goes on."""
    probe = folder / "probe"
    probe.touch()
    first = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == first:
        os.utime(probe)
    probe.unlink()


def test_a_new_value_reuses_the_file_of_a_freed_value(store: SharedMemoryStore) -> None:
    """Whether the client puts it or a worker of this machine."""
    for other in (store, attached(store)):
        number = freed(store, "old")
        other.put("new", content(2))
        assert file_number(store, "new") == number
        assert store.get("new", SIZE) == content(2)
        store.delete(["new"])


def test_a_value_that_is_mapped_does_not_change(store: SharedMemoryStore) -> None:
    """Its file is used again once no process has it mapped."""
    store.put("old", content(1))
    number = file_number(store, "old")
    data = attached(store).get("old", SIZE)
    store.delete(["old"])
    store.put("new", content(2))
    assert data == content(1)
    assert file_number(store, "new") != number
    del data
    store.put("newer", content(3))
    assert file_number(store, "newer") == number


def test_a_result_that_the_client_has_adopted_does_not_change(store: SharedMemoryStore) -> None:
    attached(store).put("result", content(1))
    data = store.adopt("result", SIZE)
    store.put("new", content(2))
    assert data == content(1)


def test_a_value_that_another_process_has_mapped_does_not_change(store: SharedMemoryStore) -> None:
    store.put("old", content(1))
    number = file_number(store, "old")
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(store.path / "old")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mapped\n"
        store.delete(["old"])
        store.put("new", content(2))
        assert file_number(store, "new") != number
        assert process.communicate()[0] == "{1}\n"


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        pytest.param(2 * SIZE, SIZE, [], id="a longer file is shortened"),
        pytest.param(SIZE, 2 * SIZE - 1, [], id="a shorter one grows"),
        pytest.param(SIZE, 2 * SIZE, [SIZE], id="a much shorter one is not worth it"),
        pytest.param(SIZE, SIZE - 1, [SIZE], id="small values need none"),
    ],
)
def test_a_spare_file_of_another_size_is_reused_if_the_sizes_are_close(
    store: SharedMemoryStore, old: int, new: int, left: list[int]
) -> None:
    freed(store, "old", old)
    store.put("new", content(2, new))
    assert store.get("new", new) == content(2, new)
    assert spare(store) == left


def test_small_files_are_removed(store: SharedMemoryStore) -> None:
    freed(store, "old", SIZE - 1)
    assert spare(store) == []


def test_the_oldest_spare_files_are_removed_above_the_limit(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All together have at most a share of the room."""
    monkeypatch.setattr(spare_files, "MOST_BYTES", 5 * SIZE)
    # At once, as each would take the file of the one before.
    sizes = {"one": 2 * SIZE, "two": SIZE, "three": 3 * SIZE, "four": 6 * SIZE}
    for key, size in sizes.items():
        store.put(key, content(1, size))
    for key in sizes:
        store.delete([key])
        wait_for_another_time(store.path)
    assert spare(store) == [SIZE, 3 * SIZE]


def test_spare_files_are_removed_after_some_seconds(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed(store, "old")
    now, time = clock.monotonic() + LOOK_FOR_STRAYS + 1, clock.wall()
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    store.renew([])
    assert spare(store) == [SIZE]
    now += LOOK_FOR_STRAYS + 1
    monkeypatch.setattr(clock, "wall", lambda: time + KEPT_FOR + 1)
    store.renew([])
    assert spare(store) == []


def test_spare_files_are_removed_when_room_is_short(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed(store, "old")
    size = 16 * SIZE  # None of the files is taken for it.
    monkeypatch.setattr(
        SharedMemoryStore, "_has_room", lambda store, size: not spare(store) and size < 20 * SIZE
    )
    store.put("new", content(2, size))
    assert spare(store) == []
    with pytest.raises(StoreFullError):
        store.put("newer", content(2, 20 * SIZE))


def test_without_leases_no_file_is_kept(
    store: SharedMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not known whether a process uses one."""
    monkeypatch.setattr(spare_files, "_HAS_LEASES", False)
    freed(store, "old")
    assert spare(store) == []


def test_a_spare_file_that_another_process_takes_is_not_used(
    store: SharedMemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has taken it, written a value and closed it."""
    freed(store, "old")

    def taken(file: int) -> None:
        for path in (store.path / SPARE).iterdir():
            path.rename(store.path / "value")

    monkeypatch.setattr(spare_files, "_check_unused", taken)
    assert SpareFiles(store.path / SPARE).take(SIZE, tmp_path / "file") is None
    assert store.get("value", SIZE) == content(1)


@pytest.mark.slow
def test_many_threads_see_the_values_that_they_put(store: SharedMemoryStore) -> None:
    """Each puts, reads and frees values, and keeps some of them mapped for a while."""
    stores = [store, attached(store)]
    wrong: list[str] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        held: list[tuple[str, memoryview]] = []
        for turn in range(60):
            key = f"value{number}x{turn}"
            data = chance.randbytes(32) * (chance.randint(SIZE, 2 * SIZE) // 32)
            expected = hashlib.sha256(data).hexdigest()
            chance.choice(stores).put(key, memoryview(data))
            found = chance.choice(stores).get(key, len(data))
            store.delete([key])
            assert found is not None
            held.append((expected, found))
            del found
            if len(held) > 3:
                expected, value = held.pop(chance.randrange(len(held)))
                if hashlib.sha256(value).hexdigest() != expected:
                    wrong.append(key)
                del value

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert spare(store)
