"""Makes and keeps Python environments for peers whose requirements clash with the library's."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["InstallationError", "default_folder", "python_with"]

INSTALL_DEADLINE = 600.0  # Seconds for pip.
READY = "ready"  # Name of the file which shows that pip has succeeded.


class InstallationError(Exception):
    """The requirements cannot be installed; the message is the last error that pip printed."""


def default_folder() -> Path:
    """Return the folder where environments are kept, within the user's cache folder."""
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "distribute_challenge" / "peers"


def python_with(name: str, requirements: Sequence[str], folder: Path) -> str:
    """Return the path of an interpreter with the requirements, which are installed if need be.

    Args:
        name: Beginning of the environment's name.
        requirements: Requirements for pip. Others, or another Python, make another environment.
        folder: Folder where environments are kept.

    Raises:
        InstallationError: pip fails, or does not end within ten minutes.
    """
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    environment = folder / f"{name}-{key}"
    python = environment / "bin" / "python"
    if not (environment / READY).exists():
        shutil.rmtree(environment, ignore_errors=True)
        environment.mkdir(parents=True)
        _run([sys.executable, "-m", "venv", str(environment)])
        _run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *requirements,
            ]
        )
        (environment / READY).touch()
    return str(python)


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            timeout=INSTALL_DEADLINE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        lines = error.output.strip().splitlines() or [f"exit code {error.returncode}"]
        errors = [line for line in lines if line.startswith("ERROR")]  # pip may add hints below.
        raise InstallationError((errors or lines)[-1]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallationError(str(error)) from error
