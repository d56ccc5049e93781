"""Whether what functions and classes refer to is still the same."""

import abc
import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pytest

from distribute_challenge.serialisation.watch import Watch

RATE = 1


def made_class() -> Any:
    number, table = 1, {"a": 1}

    class Base:
        inherited = 1

    class Account(Base):
        limit = 1
        labels = ["a"]  # noqa: RUF012 - a test changes it

        def method(self) -> Any:
            return number, table

        @property
        def rate(self) -> int:
            return number

        @functools.cached_property
        def cached(self) -> int:
            return number

        @staticmethod
        def make() -> int:
            return number

        @classmethod
        def other(cls) -> int:
            return number

    def change(to: int) -> None:
        nonlocal number
        number = to

    Account.change, Account.table = change, table  # type: ignore[attr-defined]
    return Account


def test_nothing_changes_by_itself() -> None:
    account = made_class()
    assert Watch.over([account]).is_unchanged()


@pytest.mark.parametrize(
    "change",
    [
        lambda account: setattr(account, "limit", 2),
        lambda account: setattr(account, "added", 2),
        lambda account: delattr(account, "limit"),
        lambda account: account.labels.append("b"),
        lambda account: account.table.update(a=True),
        lambda account: account.change(2),
        lambda account: setattr(account.__bases__[0], "inherited", 2),
    ],
    ids=["set", "added", "deleted", "list", "same by ==", "variable of a method", "base"],
)
def test_a_change_of_a_class_is_seen(change: Callable[[Any], None]) -> None:
    account = made_class()
    watch = Watch.over([account])
    change(account)
    assert not watch.is_unchanged()


class Colour(enum.Enum):
    RED = 1

    def again(self) -> "Colour":
        return Colour.RED


def test_classes_made_by_the_standard_library_can_be_watched() -> None:
    """They are full of containers that never change."""

    @dataclass(frozen=True, order=True, slots=True)
    class Epoch:
        number: int
        names: list[str] = field(default_factory=list)

    class Point(NamedTuple):
        x: int = 1

    class Shape(Protocol):
        def area(self) -> float: ...

    class Kind(enum.Enum):
        SMALL = 1

    for made in (Epoch, Point, Shape, Kind):
        assert Watch.over([made]).is_unchanged(), made


def test_a_class_registered_with_an_abstract_one_is_a_change() -> None:
    class Shape(abc.ABC):  # noqa: B024 - only registered with
        """Nothing."""

    class Circle:
        """Nothing."""

    watch = Watch.over([Shape])
    Shape.register(Circle)
    assert not watch.is_unchanged()


@pytest.mark.parametrize("value", [object(), [object()], list(range(100)), {1: []}, set(range(33))])
def test_what_can_change_inside_is_never_taken_for_unchanged(value: Any) -> None:
    """An object of any class and containers with one can change. Only a sentinel cannot."""

    def function() -> Any:
        return value

    assert Watch.over([function]).is_unchanged() == (type(value) is object)
    assert not Watch.over([functools.partial(function)]).is_unchanged()
    assert not Watch.over([[].append]).is_unchanged()
    assert Watch.over([len]).is_unchanged()
