"""A clock that is set while a program runs: a file says by how much Python's time is shifted.

Setting the machine's own clock would harm all else that runs there. A program that is to have such
a clock gets the variables of one; its interpreter then runs this file before anything else, by a
``sitecustomize`` module.
"""

import mmap
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ShiftedClock", "shift_by"]

_SHIFT = struct.Struct("d")
_TIMES_OF_DAY = (
    time.CLOCK_REALTIME,
    5,
)  # The other is CLOCK_REALTIME_COARSE, which Python has no name for.
# The package of this file is not to be imported yet, as it looks at the clock when it is.
_CUSTOMIZE = """
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("shifted_clock", {file!r})
module = module_from_spec(spec)
spec.loader.exec_module(module)
module.shift_by({shift!r})
"""


class ShiftedClock:
    """The clock of other programs.

    Args:
        folder: For what they read; made if it is not there.

    Attributes:
        variables: What a Python program that is to have it finds in its environment.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._file = folder / "shift"
        self.set(0.0)
        (folder / "sitecustomize.py").write_text(
            _CUSTOMIZE.format(file=__file__, shift=str(self._file))
        )
        others = os.environ.get("PYTHONPATH")
        path = str(folder) if not others else f"{folder}{os.pathsep}{others}"
        self.variables: Mapping[str, str] = {"PYTHONPATH": path}

    def set(self, seconds: float) -> None:
        """Set the clock so many seconds forward or backward, also in programs that run."""
        # In place: the programs have mapped it.
        file = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(file, _SHIFT.pack(seconds))
        finally:
            os.close(file)


def shift_by(path: str) -> None:
    """Shift the time of day of this process and its forks by the seconds that a file holds."""
    with open(path, "rb") as file:
        shift = mmap.mmap(file.fileno(), _SHIFT.size, prot=mmap.PROT_READ)
    exact, exact_of, in_nanoseconds = time.time, time.clock_gettime, time.time_ns

    def seconds() -> float:
        found: float = _SHIFT.unpack_from(shift)[0]
        return found

    def clock_gettime(number: int) -> float:
        return exact_of(number) + (seconds() if number in _TIMES_OF_DAY else 0.0)

    time.time = lambda: exact() + seconds()
    time.time_ns = lambda: in_nanoseconds() + int(seconds() * 1e9)
    time.clock_gettime = clock_gettime
