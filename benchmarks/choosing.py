"""What of a catalogue a command line names."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import click

__all__ = ["from_option", "select"]

T = TypeVar("T")


def select(catalogue: Mapping[str, T], names: Sequence[str], kind: str) -> list[T]:
    """What has one of these names, in the catalogue's order; all of it if no name is given.

    Args:
        catalogue: By name.
        names: Which to take.
        kind: What one of them is, for the error.

    Raises:
        KeyError: Nothing has one of the names.
    """
    if unknown := [name for name in names if name not in catalogue]:
        raise KeyError(
            f"no {kind} is called {', '.join(unknown)}; there are {', '.join(catalogue)}"
        )
    return [each for name, each in catalogue.items() if not names or name in names]


def from_option(choose: Callable[[list[str]], list[T]], text: str, option: str) -> list[T]:
    """What is chosen by names with commas between them, which an option of a command was given.

    Raises:
        click.BadParameter: Nothing has one of the names.
    """
    try:
        return choose([name.strip() for name in text.split(",") if name.strip()])
    except KeyError as error:
        raise click.BadParameter(error.args[0], param_hint=option) from error
