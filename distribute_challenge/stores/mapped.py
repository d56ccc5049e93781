"""Returns a file's content as memory, without a copy if the file is large.

Python's own `mmap` keeps a file descriptor open for each map (until 3.13 always), and a user may
hold more results than a process may have descriptors. So this module calls the C library directly.
"""

import contextlib
import mmap
import os
import weakref
from functools import cache
from pickle import PickleBuffer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

__all__ = ["MAPPED_FROM", "contents"]

# Bytes. To read fewer takes no longer than to map them, and a process may have some 65,000 maps on
# Linux.
MAPPED_FROM = 1 << 20


def contents(path: str, size: int, *, writable: bool = False) -> memoryview | None:
    """Return the content of a file, or None if it is not there or has another size.

    Args:
        path: Path of the file. While it has this name, or is open or mapped, no process may write
            to it or shorten it: the memory would disappear while it is read.
        size: The size that it must have, in bytes.
        writable: Return memory that can be written to. Writes change neither the file nor, after a
            fork, the memory of the other process: pages that are written to become copies.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        stack.callback(os.close, file)
        found = os.fstat(file)
        try:
            # Between the search for the name and the opening, the file may have lost its name and
            # got another content. From here on, it is open.
            is_there = os.path.samestat(found, os.lstat(path))
        except FileNotFoundError:
            return None
        if not is_there or found.st_size != size:
            return None
        data = _mapped(file, size) if size >= MAPPED_FROM else _read(file, size)
    return data if writable else data.toreadonly()


def _read(file: int, size: int) -> memoryview:
    data = memoryview(bytearray(size))
    done = 0
    while done < size:
        done += os.readv(file, [data[done:]])
    return data


def _mapped(file: int, size: int) -> memoryview:
    import ctypes

    library = _library()
    address = library.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE, file, 0)
    if address == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot map {size} bytes: {os.strerror(number)}")
    memory = (ctypes.c_char * size).from_address(address)
    # Buffers of it keep `memory` alive; when the last one is gone, the map is removed. At the end
    # of the process the kernel removes it.
    weakref.finalize(memory, library.munmap, address, size).atexit = False
    return PickleBuffer(memory).raw()


@cache
def _library() -> "ctypes.CDLL":
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_int64]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library
