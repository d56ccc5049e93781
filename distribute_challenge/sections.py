"""Outcomes as the byte strings of a `Reply`, and back."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from distribute_challenge.errors import DistributeChallengeError
from distribute_challenge.messages import Reply, Section
from distribute_challenge.outcome import Failure
from distribute_challenge.serialisation import dumps, dumps_error, dumps_plain, loads, loads_error

__all__ = ["outcomes_of", "sections_of"]


def sections_of(outcomes: Iterable[Any], name: str) -> Iterator[Section]:
    """Outcomes as few byte strings: built-in values in a row together, everything else one by one.

    A value that cannot be pickled becomes the failure of its own call.
    """
    for failed, group in groupby(outcomes, key=lambda outcome: type(outcome) is Failure):
        if failed:
            for outcome in group:
                yield Section("error", 1, dumps_error(outcome.error))
            continue
        values = list(group)
        plain = dumps_plain(values)
        if plain is not None:
            yield Section("values", len(values), plain)
            continue
        for value in values:
            try:
                yield Section("value", 1, dumps(value, f"the result of {name}").data)
            except DistributeChallengeError as error:
                yield Section("error", 1, dumps_error(error))


def outcomes_of(reply: Reply) -> list[Any]:
    """The client's end: the outcomes that a reply carries, failures as `Failure`."""
    outcomes: list[Any] = []
    for kind, _, blob in reply.sections:
        if kind == "error":
            outcomes.append(Failure(loads_error(blob)))
            continue
        try:
            value = loads(blob)
        except Exception as error:
            error.add_note("The call succeeded on its worker; its result cannot be unpickled in this process.")
            outcomes.append(Failure(error))
            continue
        if kind == "values":
            outcomes.extend(value)
        else:
            outcomes.append(value)
    return outcomes
