"""A copy of the library of another version, for workers that do not fit the others."""

import re
import shutil
from pathlib import Path

import distribute_challenge

__all__ = ["OTHER_VERSION", "other_version"]

OTHER_VERSION = "99.0.0"


def other_version(folder: Path) -> Path:
    """A copy of this library that says that it is of another version.

    Args:
        folder: Where it is made, if it is not there already.

    Returns:
        The folder to import it from.
    """
    package = folder / "distribute_challenge"
    if not package.exists():
        source = Path(distribute_challenge.__file__).parent
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        file = package / "version.py"
        file.write_text(
            re.sub(r'(__version__ = ")[^"]*', rf"\g<1>{OTHER_VERSION}", file.read_text())
        )
    return folder
