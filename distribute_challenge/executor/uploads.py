"""Makes the modules of a file importable: here, and by the calls of an executor."""

import os
import pkgutil
import sys
from collections.abc import Iterator
from importlib import invalidate_caches

from distribute_challenge.errors import OptionError
from distribute_challenge.serialisation.modules.locations import locate

__all__ = ["importable_modules"]

ARCHIVES = (".egg", ".zip")


def importable_modules(path: str | os.PathLike[str]) -> frozenset[str]:
    """Make the modules of a file importable in this process, by an entry of ``sys.path``.

    Args:
        path: A module (``.py``), or an archive with modules and packages (``.zip``, ``.egg``).

    Returns:
        The names of the modules, with those inside packages.

    Raises:
        OptionError: There is no such file, it has no modules, or an import would find others.
    """
    given, file = os.fspath(path), os.path.abspath(path)
    stem, extension = os.path.splitext(os.path.basename(file))
    if not os.path.isfile(file):
        raise OptionError(f"upload_file({given!r}): there is no such file")
    if extension == ".py" and stem.isidentifier():
        folder, names = os.path.dirname(file), frozenset([stem])
    elif extension in ARCHIVES:
        folder, names = file, frozenset(_modules_in(file))
    else:
        raise OptionError(
            f"upload_file({given!r}): expected a module (.py) whose name can be imported, or an "
            f"archive of modules (.zip, .egg); give other data to calls as arguments"
        )
    if not names:
        raise OptionError(f"upload_file({given!r}): it has no modules at its top level")
    before = list(sys.path)
    if folder not in before:
        # Last, so that no module of the program or of Python is hidden by it.
        sys.path.append(folder)
        invalidate_caches()
    try:
        for name in names:
            _check(name, folder, given)
    except OptionError:
        sys.path[:] = before
        raise
    return names


def _modules_in(folder: str, prefix: str = "") -> Iterator[str]:
    for module in pkgutil.iter_modules([folder], prefix):
        yield module.name
        if module.ispkg:
            inner = os.path.join(folder, module.name.removeprefix(prefix))
            yield from _modules_in(inner, f"{module.name}.")


def _check(name: str, folder: str, given: str) -> None:
    location = locate(name)
    found = None if location is None else location.filename
    if found is None or not os.path.realpath(found).startswith(os.path.realpath(folder) + os.sep):
        raise OptionError(
            f"upload_file({given!r}): import {name} would find "
            f"{found or 'a module of Python or of an installed package'}; rename the file"
        )
