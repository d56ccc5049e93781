"""What this library uses of Celery, kombu and billiard that they do not promise is there."""

import inspect
from importlib import import_module
from typing import Any

import pytest

from distribute_challenge.execution_backends.celery.worker.overrides.private_names import PRIVATE


def sources(thing: Any) -> str:
    """The source of a module, or of a class and those that it inherits from."""
    parts = (
        [thing]
        if inspect.ismodule(thing)
        else [each for each in thing.__mro__ if each is not object]
    )
    return "".join(map(inspect.getsource, parts))


@pytest.mark.parametrize(
    ("place", "name"),
    [(place, name) for place, names in PRIVATE.items() for name in names],
    ids=lambda value: value,
)
def test_a_private_name_used_by_the_library_exists(place: str, name: str) -> None:
    """It is an attribute, or the code of its module or class sets it."""
    module, _, cls = place.partition(":")
    found: Any = import_module(module)
    if cls:
        found = getattr(found, cls)
    assert hasattr(found, name) or f".{name}" in sources(found), f"{place} has no {name} any more"
