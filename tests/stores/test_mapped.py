"""Files as memory."""

import os
from pathlib import Path

import numpy as np
import pytest

from distribute_challenge.stores.mapped import MAPPED_FROM, _mapped, contents
from tests.forks import ended, fork

SIZES = [0, 10, MAPPED_FROM - 1, MAPPED_FROM, 3 * MAPPED_FROM + 5]


def file_of(folder: Path, size: int) -> Path:
    path = folder / "value"
    path.write_bytes(os.urandom(size))
    return path


def maps() -> str:
    return Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_read_whole(tmp_path: Path, size: int) -> None:
    """Whether it is copied or mapped."""
    path = file_of(tmp_path, size)
    data = contents(str(path), size)
    assert data is not None
    assert data.readonly
    assert (data.ndim, data.format, data.nbytes) == (1, "B", size)
    assert data == path.read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_a_writable_map_does_not_change_the_file(tmp_path: Path, size: int) -> None:
    """It is the caller's own."""
    path = file_of(tmp_path, size)
    before = path.read_bytes()
    data = contents(str(path), size, writable=True)
    assert data is not None
    array = np.frombuffer(data, dtype=np.uint8)
    array += 1
    assert path.read_bytes() == before
    assert bytes(data) == (np.frombuffer(before, dtype=np.uint8) + np.uint8(1)).tobytes()


@pytest.mark.parametrize("size", [10, MAPPED_FROM])
def test_a_file_of_another_size_or_a_missing_file_gives_none(tmp_path: Path, size: int) -> None:
    """So is a file that does not exist."""
    path = file_of(tmp_path, size)
    assert contents(str(path), size - 1) is None
    assert contents(str(tmp_path / "nothing"), size) is None


@pytest.mark.parametrize("other", [False, True])
def test_a_file_that_is_renamed_while_it_is_opened_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    """It may get another content, even if another file gets its name."""
    path = file_of(tmp_path, MAPPED_FROM)
    opened = os.open

    def opened_late(name: str, flags: int) -> int:
        file = opened(name, flags)
        path.rename(tmp_path / "spare")
        if other:
            file_of(tmp_path, MAPPED_FROM)
        return file

    monkeypatch.setattr(os, "open", opened_late)
    assert contents(str(path), MAPPED_FROM) is None


def test_a_map_is_released_with_the_last_array_that_uses_it(tmp_path: Path) -> None:
    """It does not go sooner."""
    path = file_of(tmp_path, 2 * MAPPED_FROM)
    data = contents(str(path), 2 * MAPPED_FROM)
    assert data is not None
    part = np.frombuffer(data, dtype=np.uint8)[7:]
    del data
    assert str(path) in maps()
    assert part[0] == path.read_bytes()[7]
    del part
    assert str(path) not in maps()


def test_a_map_takes_no_descriptor(tmp_path: Path) -> None:
    """A user may keep more results than a process may have files open."""
    path = file_of(tmp_path, MAPPED_FROM)
    before = len(os.listdir("/proc/self/fd"))
    kept = [contents(str(path), MAPPED_FROM) for _ in range(100)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(kept) == 100


@pytest.mark.slow
def test_a_fork_does_not_write_into_its_parent_s_results(tmp_path: Path) -> None:
    """It writes into a copy, as with any other memory."""
    path = file_of(tmp_path, MAPPED_FROM)
    data = contents(str(path), MAPPED_FROM, writable=True)
    assert data is not None
    data[0] = 1
    assert ended(fork(lambda: data.__setitem__(0, 2))) == 0
    assert data[0] == 1


def test_a_file_too_large_for_the_address_space_is_an_error_with_its_size(tmp_path: Path) -> None:
    """The error has its size."""
    with (
        file_of(tmp_path, 10).open("rb") as file,
        pytest.raises(
            OSError, match="cannot map 4611686018427387904 bytes: Cannot allocate memory"
        ),
    ):
        _mapped(file.fileno(), 1 << 62)
