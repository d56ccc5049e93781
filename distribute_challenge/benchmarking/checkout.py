"""Runs commands for developers, which are in a checkout and not installed with the library."""

import sys
from importlib import import_module
from importlib.util import find_spec

__all__ = ["run_from_checkout"]


def run_from_checkout(name: str) -> None:
    """Run ``python -m benchmarks.NAME`` in this process, with this process's arguments.

    Args:
        name: Name of the command, such as ``"chaos"``.

    Raises:
        SystemExit: The command has ended; or there is no checkout that this process can import
            from, and the text says what to do.
    """
    command = f"benchmarks.{name}"
    try:
        # Another project's package may be called `benchmarks`, too.
        found = find_spec(f"{command}.__main__")
    except ModuleNotFoundError:
        found = None
    if found is None:
        sys.exit(
            f"{name} is a command for developers, which is not installed with the library. Get a "
            f"copy of the repository, and run in its top folder:\n"
            f'pip install -e ".[benchmarking]"\n'
            f"python -m {command} --help"
        )
    import_module(found.name).main(prog_name=f"python -m {command}")
