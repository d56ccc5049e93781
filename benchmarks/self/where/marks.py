"""Marks: the times at which a process passes places in its code.

Each process writes its marks into a mapped file, so that they outlive it, however it ends. The clock
is `time.perf_counter_ns`, which all processes of a machine share on Linux and macOS.
"""

import itertools
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

__all__ = ["FOLDER_VARIABLE", "Mark", "Place", "Role", "read", "record", "start"]

#: Names the folder for the files; only this benchmark sets it.
FOLDER_VARIABLE = "BENCHMARKS_MARKS"
MOST = 500_000  # Marks of a process; a round trip has about ten in each.
_RECORD = Struct("<BxxxxxxxQqq")

Role = str
"""``client``, ``main`` or ``child``."""


class Place(IntEnum):
    """A place in the code that a process passes. `stages` says what lies between two of them."""

    CALL_BEGINS = 1
    PICKLED = 2
    REGISTERED = 3
    MESSAGE_MADE = 4
    SENDING = 5
    SENT = 6
    SUBMITTED = 7
    MESSAGE_ARRIVES = 8
    MESSAGE_PARSED = 9
    ADMITTED = 10
    HELD = 11
    PASSING_ON = 12
    PASSED_ON = 13
    MESSAGE_DONE = 14
    RESULT_BEGINS = 15
    RESULT_ENDS = 16
    JOB_READ = 17
    TASK_BEGINS = 18
    OPENED = 19
    CALLED = 20
    RETURNED = 21
    ENCODED = 22
    WAITS = 23
    REPLY_ARRIVES = 24
    REPLY_TAKEN = 25
    CALL_ENDS = 26
    ASKS = 27
    ASKED = 28
    POLLS = 29
    POLLED = 30


class Mark(NamedTuple):
    """One passage of a place.

    Attributes:
        wall: When, in nanoseconds of `time.perf_counter_ns`.
        role: Role of the process.
        process: Its id.
        thread: Number of the thread.
        place: The place.
        cpu: CPU time of the thread until then, in nanoseconds.
    """

    wall: int
    role: Role
    process: int
    thread: int
    place: Place
    cpu: int


def _nothing(place: Place) -> None:
    """Record nothing, before `start`."""


_record: Callable[[Place], None] = _nothing


def record(place: Place) -> None:
    """Record that this thread passes a place now; nothing before `start`."""
    _record(place)


def start(folder: Path, role: Role) -> None:
    """Record the marks of this process from now on, and those of its forked children.

    Args:
        folder: Folder for the files.
        role: Role of this process; forked children are ``child``.
    """
    _open(folder, role)
    os.register_at_fork(after_in_child=lambda: _open(folder, "child"))


def _open(folder: Path, role: Role) -> None:
    global _record
    with open(folder / f"{role}-{os.getpid()}", "w+b") as file:
        file.truncate(MOST * _RECORD.size)  # A file with holes: only what is written takes room.
        space = mmap.mmap(file.fileno(), 0)
    numbers = itertools.count()
    pack, size = _RECORD.pack_into, _RECORD.size
    ident, wall, cpu = threading.get_ident, time.perf_counter_ns, time.thread_time_ns

    def write(place: Place) -> None:
        number = next(numbers)
        if number < MOST:
            pack(space, number * size, place, ident(), wall(), cpu())

    _record = write


def read(folder: Path) -> list[Mark]:
    """Return the marks of all processes, in the order of time.

    Raises:
        RuntimeError: A process had more marks than its file holds.
    """
    return sorted(mark for path in folder.iterdir() for mark in _marks_of(path))


def _marks_of(path: Path) -> Iterator[Mark]:
    role, _, process = path.name.partition("-")
    count = 0
    with open(path, "rb") as file:
        while (data := file.read(_RECORD.size)) and data[0]:
            place, thread, wall, cpu = _RECORD.unpack(data)
            count += 1
            yield Mark(wall, role, int(process), thread, Place(place), cpu)
    if count == MOST:
        raise RuntimeError(f"{path.name} is full: measure fewer calls than these at once")
