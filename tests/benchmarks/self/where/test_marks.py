"""Marks of processes, in files."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.self.where import marks
from benchmarks.self.where.marks import Place

TOP = Path(__file__).parents[4]
PROGRAM = """
import os, sys
from pathlib import Path
from benchmarks.self.where import marks
from benchmarks.self.where.marks import Place

marks.record(Place.CALL_BEGINS)  # Before the start: nothing.
marks.MOST = 3
marks.start(Path(sys.argv[1]), "main")
marks.record(Place.ADMITTED)
child = os.fork()
if not child:
    marks.record(Place.CALLED)
    os._exit(0)
os.waitpid(child, 0)
for _ in range(int(sys.argv[2])):
    marks.record(Place.HELD)
"""


def marked(folder: Path, more: int) -> None:
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(more)],
        cwd=TOP,
        stderr=subprocess.PIPE,
        check=True,
    )


def test_marks_of_a_process_and_its_child_are_read_in_the_order_of_time(tmp_path: Path) -> None:
    marked(tmp_path, 1)
    found = marks.read(tmp_path)
    assert [(mark.role, mark.place) for mark in found] == [
        ("main", Place.ADMITTED),
        ("child", Place.CALLED),
        ("main", Place.HELD),
    ]
    main, child, again = found
    assert main.wall < child.wall < again.wall
    assert (main.process, main.thread) == (again.process, again.thread)
    assert main.process != child.process
    assert main.cpu < again.cpu


def test_a_file_that_is_full_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MOST", 3)
    marked(tmp_path, 5)
    with pytest.raises(RuntimeError, match=r"^main-\d+ is full"):
        marks.read(tmp_path)
