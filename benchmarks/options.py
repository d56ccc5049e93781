"""Options that several of the commands have, with the same words in each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

__all__ = [
    "FILE",
    "environments",
    "listing",
    "names",
    "output_folder",
    "rounds",
    "say",
    "targets",
    "workers",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class Option(Protocol):
    """A decorator that adds an option to a command."""

    def __call__(self, command: Command, /) -> Command: ...


FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def workers(of: str) -> Option:
    """``--workers``.

    Args:
        of: Whose worker processes, or where.
    """
    return _at_least_one("--workers", 2, f"Worker processes {of}.")


def rounds(text: str) -> Option:
    """``--rounds``.

    Args:
        text: What the help says of it.
    """
    return _at_least_one("--rounds", 3, text)


def names(option: str, of: str) -> Option:
    """An option that takes names for `benchmarks.choosing.from_option`.

    Args:
        option: The option, as ``"--only"``.
        of: What the names are of.
    """
    text = f"{of}, with commas between them. [default: all]"
    return click.option(option, default="", metavar="NAMES", help=text)


def listing(of: str) -> Option:
    """``--list``.

    Args:
        of: What the names are of that it shows.
    """
    text = f"Show the names of {of}, and do nothing."
    return click.option("--list", "listing", is_flag=True, help=text)


def output_folder(default: str) -> Option:
    """``--output``, a folder."""
    return click.option(
        "--output",
        default=default,
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder for the results.",
    )


def environments(of: str) -> Option:
    """``--environments``.

    Args:
        of: Whose environments of their own.
    """
    text = f"Folder for the environments of {of}. [default: in the user's cache folder]"
    return click.option("--environments", type=click.Path(path_type=Path), help=text)


def targets(command: Command) -> Command:
    """``--targets``."""
    option = click.option(
        "--targets",
        "targets_of",
        type=FILE,
        help="Print the table of the targets and what this JSON file says was reached, "
        "and do nothing else.",
    )
    return option(command)


def say(line: str) -> None:
    """Tell the user how far a run is, beside the results, which go to standard output."""
    click.echo(line, err=True)


def _at_least_one(option: str, default: int, text: str) -> Option:
    return click.option(
        option, default=default, show_default=True, type=click.IntRange(min=1), help=text
    )
