"""The source of modules: read, decoded, and searched for what it imports."""

import ast
import dis
import linecache
import os
from collections.abc import Iterator
from importlib.util import decode_source
from threading import Lock
from types import CodeType
from typing import NamedTuple

from distribute_challenge.serialisation.modules import zipped
from distribute_challenge.serialisation.modules.locations import Location

__all__ = ["Stamp", "Text", "imported_names", "read_text", "stamp"]

#: What changes when a file does: its time of modification in nanoseconds, and its size in bytes.
Stamp = tuple[int, int]

_GONE = (0, 0)
# Python 3.11 counts how deep it is in a tree for all threads together: two that parse at once
# can fail with a SystemError.
_parsing = Lock()


class Text(NamedTuple):
    """A module's source and the names of the modules that it may import.

    Args:
        source: The source; None if it is not to be had.
        imports: Full names.
        problem: Why there is no source; empty if there is.
    """

    source: str | None
    imports: tuple[str, ...] = ()
    problem: str = ""


# By file and package: all functions of a project have most of their modules in common.
_read: dict[tuple[str, str], tuple[Stamp, Text]] = {}


def stamp(filename: str) -> Stamp:
    """What changes when a file does, or the archive that it lies in; zeros for one that is gone."""
    try:
        status = os.stat(filename)
    except NotADirectoryError:
        found = zipped.archive_of(filename)
        return _GONE if found is None else stamp(found[0])
    except OSError:
        return _GONE
    return (status.st_mtime_ns, status.st_size)


def read_text(location: Location, current: Stamp) -> Text:
    """The source of a module as it is on disk; if it is gone there, as Python still has it in
    memory.

    Args:
        location: Where the module lies.
        current: The file's stamp. A file that has still the one with which it was read is not read
            again.
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
    """Full names of everything that a function's body imports, nested functions included.

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
    instructions = list(dis.get_instructions(code))
    for position, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level, names = instructions[position - 2].argval, instructions[position - 1].argval
            yield from _candidates(instruction.argval, names or (), level, package)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from imported_names(constant, package)


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
    """The source of a module whose file is gone, as tracebacks or its loader still have it."""
    filename = location.filename or ""
    try:
        lines = linecache.getlines(filename)
        # The loader of an archive reads at the places where its members lay when it was made.
        if not lines and zipped.archive_of(filename) is None:
            source = location.loader.get_source(location.name)
            return source if isinstance(source, str) else None
    except Exception:  # Loaders of any origin: what one cannot tell is not to be had.
        return None
    return "".join(lines) or None


def _imports_of_source(source: str, package: str) -> Iterator[str]:
    """Full names of all that a module imports anywhere in its source."""
    try:
        with _parsing:
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return  # Importing it fails on the worker, with the line; nothing to find out here.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield from _candidates(node.module or "", names, node.level, package)


def _candidates(module: str, names: tuple[str, ...], level: int, package: str) -> Iterator[str]:
    """``from module import names`` may mean attributes or submodules: name both."""
    if level:
        anchor = package.rsplit(".", level - 1)[0] if level > 1 else package
        module = f"{anchor}.{module}" if module else anchor
    yield module
    yield from (f"{module}.{name}" for name in names if name != "*")


def _make_lock_anew() -> None:
    """In the child of a fork: a thread that is not there may hold it."""
    global _parsing
    _parsing = Lock()


os.register_at_fork(after_in_child=_make_lock_anew)
