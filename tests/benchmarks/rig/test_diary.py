"""Who ran what, and when."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.rig import diary as module
from benchmarks.rig.diary import KEPT, PAGE, Diary, note


def test_read_returns_each_entry_once_with_its_process_and_time(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    before = time.monotonic()
    note(diary.folder, "c-1")
    note(str(diary.folder), "c-2")
    first, second = diary.read()
    assert (first.call, second.call, first.pid) == ("c-1", "c-2", os.getpid())
    assert before <= first.time <= second.time <= time.monotonic()
    note(diary.folder, "c-1")
    assert [entry.call for entry in diary.read()] == ["c-1"]
    assert [entry.call for entry in diary.all()] == ["c-1", "c-2", "c-1"]


def test_old_pages_are_removed_after_they_have_been_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary = Diary(tmp_path)
    now = time.monotonic()
    for number in range(2 * KEPT):
        monkeypatch.setattr(module.time, "monotonic", lambda number=number: now + number * PAGE)
        note(tmp_path, f"c-{number}")
    assert [entry.call for entry in diary.read()] == [f"c-{number}" for number in range(2 * KEPT)]
    assert len(list(tmp_path.iterdir())) == KEPT
    assert list(diary.read()) == []
