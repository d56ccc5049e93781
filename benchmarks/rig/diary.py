"""How often did a call run? Each run writes one line, before anything else, wherever it runs."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Diary", "Entry", "note"]

PAGE = 30.0  # Seconds that go into one file.
# Pages that stay when they have been read: a process that was frozen may still write to an old one.
KEPT = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of a call.

    Args:
        call: Its name.
        pid: Process that ran it.
        time: When it began, by the monotonic clock, which is one for all processes of a machine and
            is never set.
    """

    call: str
    pid: int
    time: float


def note(folder: str | os.PathLike[str], call: str) -> None:
    """Write down that a call begins, in the process that runs it.

    Args:
        folder: The diary's.
        call: Name of the call, without blanks.
    """
    now = time.monotonic()
    # A short line at the end of a file is written by the kernel in one piece, even if other processes write too.
    file = os.open(
        Path(folder, f"page-{int(now // PAGE)}"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
    )
    try:
        os.write(file, f"{call} {os.getpid()} {now!r}\n".encode())
    finally:
        os.close(file)


class Diary:
    """The reader's end.

    Args:
        folder: Where the calls of one rig write; made if it is not there.

    Guarantees: Each line is given out once, and pages of long ago are removed, so that an hour
    takes no more room than a minute.

    Examples:
        >>> import tempfile
        >>> diary = Diary(Path(tempfile.mkdtemp()))
        >>> note(diary.folder, "c-1")
        >>> [entry.call for entry in diary.read()], list(diary.read())
        (['c-1'], [])
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._read: dict[Path, int] = {}

    def read(self) -> Iterator[Entry]:
        """What has been written since the last look."""
        pages = sorted(
            self.folder.glob("page-*"), key=lambda path: int(path.name.partition("-")[2])
        )
        for page in pages:
            with page.open("rb") as file:
                file.seek(self._read.get(page, 0))
                lines = file.read()
            self._read[page] = self._read.get(page, 0) + len(lines)
            for line in lines.decode().splitlines():
                call, pid, begun = line.split()
                yield Entry(call, int(pid), float(begun))
        for page in pages[:-KEPT]:
            page.unlink()
            del self._read[page]

    def all(self) -> list[Entry]:
        """Everything that stands in the files, for short runs; `read` is not disturbed."""
        lines = "".join(page.read_text() for page in self.folder.glob("page-*")).splitlines()
        entries = [
            Entry(call, int(pid), float(begun)) for call, pid, begun in map(str.split, lines)
        ]
        return sorted(entries, key=lambda entry: entry.time)
