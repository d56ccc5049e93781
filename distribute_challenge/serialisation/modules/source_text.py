"""Read and decode the source of modules, and find what it imports."""

import ast
import dis
import linecache
import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import decode_source
from threading import Lock
from types import CodeType
from typing import NamedTuple

from distribute_challenge.serialisation.modules import zipped
from distribute_challenge.serialisation.modules.locations import Location

__all__ = ["Stamp", "Text", "imported_names", "read_text", "stamp"]

#: Changes when a file changes: its time of modification in nanoseconds, and its size in bytes.
Stamp = tuple[int, int]

_GONE = (0, 0)
# Python 3.11 has one depth counter for the parsers of all threads: two threads that parse at once
# can fail with a SystemError.
_parsing = Lock()


class Text(NamedTuple):
    """A module's source and the names of the modules that it may import.

    Args:
        source: The source; None if it cannot be read.
        imports: Full names.
        problem: Why there is no source; empty if there is.
    """

    source: str | None
    imports: tuple[str, ...] = ()
    problem: str = ""


# By file and package. All functions of a project share most of their modules.
_read: dict[tuple[str, str], tuple[Stamp, Text]] = {}


def stamp(filename: str) -> Stamp:
    """Return the stamp of a file, or of the archive that it lies in; zeros if it is gone."""
    try:
        status = os.stat(filename)
    except NotADirectoryError:
        found = zipped.archive_of(filename)
        return _GONE if found is None else stamp(found[0])
    except OSError:
        return _GONE
    return (status.st_mtime_ns, status.st_size)


def read_text(location: Location, current: Stamp) -> Text:
    """Read the source of a module from disk; if its file is gone, take it from Python's memory.

    Args:
        location: Where the module lies.
        current: The file's stamp. A file is not read again while its stamp stays the same.
    """
    assert location.filename is not None
    package = location.name if location.is_package else location.name.rpartition(".")[0]
    key = location.filename, package
    known = _read.get(key)
    if known is not None and known[0] == current != _GONE:
        return known[1]
    source, problem = _source(location)
    imports = () if source is None else tuple(sorted(set(_imports_of_source(source, package))))
    text = Text(source, imports, problem)
    _read[key] = current, text
    return text


def imported_names(code: CodeType, package: str) -> Iterator[str]:
    """Yield the full names of all that a function's body and its nested functions import.

    Args:
        code: The function's code.
        package: The function's ``__package__``, which relative imports start from.

    Examples:
        >>> def f():
        ...     import json.decoder
        ...     from email import message
        >>> sorted(imported_names(f.__code__, ""))
        ['email', 'email.message', 'json.decoder']
    """
    yield from _imports_of_code(code, package)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imported_names(constant, package)


# Cached, because a class that travels by value is read again for each call that brings it.
@lru_cache(maxsize=1024)
def _imports_of_code(code: CodeType, package: str) -> tuple[str, ...]:
    names: list[str] = []
    instructions = list(dis.get_instructions(code))
    for position, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level, found = instructions[position - 2].argval, instructions[position - 1].argval
            names.extend(_candidates(instruction.argval, found or (), level, package))
    return tuple(names)


def _source(location: Location) -> tuple[str | None, str]:
    filename = location.filename
    assert filename is not None
    try:
        return decode_source(zipped.read(filename)), ""
    except (SyntaxError, UnicodeDecodeError) as error:
        return (
            None,
            (
                f"the source of {location.name}, {filename}, cannot be decoded: {error}; correct it on "
                f"the client"
            ),
        )
    except OSError as error:
        source = _remembered(location)
        if source is not None:
            return source, ""
        reason = error.strerror or str(error)
        return None, (
            f"the source of {location.name} did not travel: the client could not read {filename} "
            f"({reason}). "
            f"Put the file back; if it has moved, start the client again"
        )


def _remembered(location: Location) -> str | None:
    """Return the source of a module whose file is gone, from `linecache` or its loader."""
    filename = location.filename or ""
    try:
        lines = linecache.getlines(filename)
        # The loader of an archive reads at the offsets that the members had when it was made.
        if not lines and zipped.archive_of(filename) is None:
            source = location.loader.get_source(location.name)
            return source if isinstance(source, str) else None
    except Exception:  # The loader may be any code; if it fails, there is no source.
        return None
    return "".join(lines) or None


def _imports_of_source(source: str, package: str) -> Iterator[str]:
    """Yield the full names of all that a module imports anywhere in its source."""
    try:
        with _parsing:
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return  # The import on the worker fails with the line of the error.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield from _candidates(node.module or "", names, node.level, package)


def _candidates(module: str, names: tuple[str, ...], level: int, package: str) -> Iterator[str]:
    """Yield attributes and submodules: ``from module import names`` may mean either."""
    if level:
        anchor = package.rsplit(".", level - 1)[0] if level > 1 else package
        module = f"{anchor}.{module}" if module else anchor
    yield module
    yield from (f"{module}.{name}" for name in names if name != "*")


def _make_lock_anew() -> None:
    """Replace the lock in a forked child process: a thread that is missing there may hold it."""
    global _parsing
    _parsing = Lock()


os.register_at_fork(after_in_child=_make_lock_anew)
