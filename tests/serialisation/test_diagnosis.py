"""Which part of a value is to blame."""

import threading
from typing import Any

import pytest

from distribute_challenge.serialisation.diagnosis import culprit

LOCK = threading.Lock()


class Thing:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("empty", "lock")

    def __init__(self) -> None:
        self.lock = LOCK


def closure() -> Any:
    captured, empty = LOCK, 1

    def inner() -> Any:
        return captured, empty  # noqa: F821

    del empty
    return inner


def holds_lock(value: Any, seen: frozenset[int] = frozenset()) -> bool:
    """Whether a lock is anywhere in a value."""
    if value is LOCK:
        return True
    if id(value) in seen:
        return False
    seen |= {id(value)}
    parts: list[Any] = []
    if isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    elif isinstance(value, Slotted):
        parts = [value.lock]
    elif isinstance(value, Thing):
        parts = list(vars(value).values())
    elif callable(value):
        return value.__name__ in {"inner", "uses_global"}
    return any(holds_lock(part, seen) for part in parts)


def try_pickling(value: Any) -> Exception | None:
    return TypeError("cannot pickle lock") if holds_lock(value) else None


def uses_global() -> Any:
    return no_such_name, LOCK  # type: ignore[name-defined] # noqa: F821


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "it"),
        ([1, LOCK], "it[1]"),
        ((1, [2, LOCK]), "it[1][1]"),
        ({LOCK}, "it[0]"),
        ({"a": 1, "b": {"c": LOCK}}, "it['b']['c']"),
        (Thing(a=1, b=Thing(c=LOCK)), "it.b.c"),
        (Slotted(), "it.lock"),
        (closure(), "it, closure variable 'captured'"),
        (uses_global, "it, global variable 'LOCK'"),
    ],
)
def test_the_path_names_the_smallest_part_that_cannot_be_pickled(value: Any, path: str) -> None:
    """Through containers, attributes, slots, closures and globals."""
    assert culprit(value, "it", TypeError("whole"), try_pickling) == (
        f"{path} (a lock)",
        "cannot pickle lock" if path != "it" else "whole",
    )


def test_a_value_whose_parts_can_all_be_pickled_is_named_itself() -> None:
    """The parts fail only together."""
    assert culprit([1, 2], "it", ValueError("together"), try_pickling) == (
        "it (a list)",
        "together",
    )


def test_an_error_without_a_message_is_described_by_its_class() -> None:
    """Something always stands there."""
    assert culprit(1, "it", RecursionError(), try_pickling) == ("it (a int)", "RecursionError")


def test_a_function_whose_references_can_all_be_pickled_is_named_itself() -> None:
    """Variables without a value are passed over."""
    captured = 1

    def inner() -> Any:
        return captured, unset, no_such_name, NUMBER  # type: ignore[name-defined] # noqa: F821

    unset = 1
    del unset
    assert culprit(inner, "it", ValueError("odd"), lambda value: None) == ("it (a function)", "odd")


NUMBER = 1


def test_diagnosis_of_a_cyclic_value_ends() -> None:
    """Each object is looked at once."""
    cycle: list[Any] = [LOCK]
    cycle.insert(0, cycle)
    assert culprit(cycle, "it", TypeError("x"), try_pickling)[0] == "it[1] (a lock)"


def test_a_very_long_path_is_cut() -> None:
    """The error stays short enough to read."""
    value: Any = LOCK
    for _ in range(50):
        value = [value]
    path, _ = culprit(value, "it", TypeError("x"), try_pickling)
    assert path == "it" + "[0]" * 20 + " (a list)"
