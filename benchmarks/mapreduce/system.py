"""What a measurement needs of a system."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["System", "installed"]

System = Callable[[int, list[Path]], tuple[float, Any]]
"""Takes the number of workers and the files; returns the seconds, and what was found."""


def installed(systems: dict[str, tuple[System, Sequence[str]]]) -> dict[str, System]:
    """Return the systems whose packages are installed.

    Args:
        systems: Each with the packages that it needs.
    """
    return {
        name: system for name, (system, needed) in systems.items() if all(map(find_spec, needed))
    }
