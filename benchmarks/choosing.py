"""Selects the entries of a catalogue that a command line names."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import click

__all__ = ["from_option", "select"]

T = TypeVar("T")


def select(catalogue: Mapping[str, T], names: Sequence[str], kind: str) -> list[T]:
    """Return the entries with these names, in the catalogue's order; all if no name is given.

    Args:
        catalogue: Entries by name.
        names: Names of the entries to return.
        kind: What an entry is called in the error, as ``"peer"``.

    Raises:
        KeyError: No entry has one of the names.
    """
    if unknown := [name for name in names if name not in catalogue]:
        raise KeyError(
            f"no {kind} is called {', '.join(unknown)}; there are {', '.join(catalogue)}"
        )
    return [each for name, each in catalogue.items() if not names or name in names]


def from_option(choose: Callable[[list[str]], list[T]], text: str, option: str) -> list[T]:
    """Return the entries that an option names, with commas between the names.

    Args:
        choose: Returns the entries with some names, as `select` does.
        text: Value of the option.
        option: Name of the option, for the error.

    Raises:
        click.BadParameter: No entry has one of the names.
    """
    try:
        return choose([name.strip() for name in text.split(",") if name.strip()])
    except KeyError as error:
        raise click.BadParameter(error.args[0], param_hint=option) from error
