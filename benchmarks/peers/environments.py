"""Python environments for peers whose requirements clash with the library's, made once and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["InstallationError", "default_folder", "python_with"]

INSTALL_DEADLINE = 600.0  # Seconds for pip.
READY = "ready"  # File that says that pip came to its end.


class InstallationError(Exception):
    """The requirements cannot be installed; the message is the last error that pip told."""


def default_folder() -> Path:
    """Where environments are kept: the user's cache folder."""
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "distribute_challenge" / "peers"


def python_with(name: str, requirements: Sequence[str], folder: Path) -> str:
    """Path of an interpreter that has the requirements, installed now unless they were before.

    Args:
        name: Start of the environment's name.
        requirements: As pip takes them. Other ones, or another Python, make another environment.
        folder: Where environments are kept.

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
