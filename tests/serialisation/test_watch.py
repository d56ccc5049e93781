"""Whether what functions and classes refer to is still the same."""

import abc
import collections
import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import logging
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
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


def test_a_watched_object_that_is_not_touched_is_unchanged() -> None:
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


def test_registering_a_class_with_an_abstract_class_is_a_change() -> None:
    class Shape(abc.ABC):  # noqa: B024 - only registered with
        """Nothing."""

    class Circle:
        """Nothing."""

    watch = Watch.over([Shape])
    Shape.register(Circle)
    assert not watch.is_unchanged()


@pytest.mark.parametrize(
    "value",
    [
        object(),
        bytearray(b"a"),
        [bytearray(b"a")],
        list(range(100)),
        [len] * 33,
        {(1, 2): len},
        set(range(33)),
        {1: [set(range(33))]},
        collections.OrderedDict(a=1),
        functools.partial(len),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_mutable_value_is_never_taken_for_unchanged(value: Any) -> None:
    """Objects of most classes, and containers with one, can change. A sentinel cannot."""

    def function() -> Any:
        return value

    assert Watch.over([function]).is_unchanged() == (type(value) is object)
    assert not Watch.over([functools.partial(function)]).is_unchanged()
    assert not Watch.over([[].append]).is_unchanged()
    assert Watch.over([len]).is_unchanged()


class Settings:
    """An object that consists of its attributes."""

    def __init__(self) -> None:
        self.rate = 1
        self.inner: Any = [Point(1), {"a": [1, (2, {3})]}, (Point(2), [])]
        self.registry: Any = {"len": len, None: Colour}


class Point:
    def __init__(self, x: Any) -> None:
        self.x = x

    def double(self) -> Any:
        return self.x * RATE


class Reduced(Point):
    def __reduce__(self) -> Any:
        return Point, (7,)


class Stateful(Point):
    def __getstate__(self) -> Any:
        return {}


class Remade(Point):
    def __getnewargs__(self) -> Any:
        return ()


class Slotted:
    __slots__ = ("__dict__", "x")


class Listed(list[Any]):
    """Has items beside its attributes."""


class Registered(Point):
    """Another module says how to pickle it."""


def watching(value: Any) -> Watch:
    def function() -> Any:
        return value

    return Watch.over([function])


@pytest.mark.parametrize(
    "change",
    [
        lambda settings: setattr(settings, "rate", 2),
        lambda settings: setattr(settings, "added", 2),
        lambda settings: delattr(settings, "rate"),
        lambda settings: setattr(settings, "__dict__", {**vars(settings), "rate": 2}),
        lambda settings: setattr(settings.inner[0], "x", 2),
        lambda settings: settings.inner.append(1),
        lambda settings: settings.inner.pop(),
        lambda settings: settings.inner.reverse(),
        lambda settings: settings.inner[1]["a"][1][1].add(4),
        lambda settings: settings.registry.update({None: Point}),
        lambda settings: settings.registry.update({"len": settings.registry.pop("len")}),
    ],
    ids=[
        "set",
        "added",
        "deleted",
        "all",
        "inner",
        "append",
        "pop",
        "reverse",
        "nested",
        "value",
        "order",
    ],
)
def test_a_change_inside_an_object_is_seen(change: Callable[[Any], None]) -> None:
    settings = Settings()
    settings.inner.pop()  # A tuple with an object cannot be watched.
    watch = watching(settings)
    assert watch.is_unchanged()
    change(settings)
    assert not watch.is_unchanged()


def test_a_change_of_an_object_s_class_is_seen() -> None:
    class Local:
        limit = 1

    watch = watching(Local())
    assert watch.is_unchanged()
    Local.limit = 2
    assert not watch.is_unchanged()


@pytest.mark.parametrize(
    "kind", [Reduced, Stateful, Remade, Slotted, Listed, Registered, ValueError]
)
def test_an_object_with_its_own_way_to_be_pickled_is_not_watched(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(copyreg.dispatch_table, Registered, Reduced.__reduce__)
    value = kind([]) if issubclass(kind, Point) else kind()
    assert not watching(value).is_unchanged()


def test_a_large_number_of_objects_is_not_watched() -> None:
    chain = Point(None)
    for _ in range(40):
        chain = Point(chain)
    assert not watching(chain).is_unchanged()


def test_a_cached_function_is_as_unchanged_as_the_function() -> None:
    @functools.lru_cache
    def cached() -> Any:
        return number

    number = 1
    roots = Watch.over([cached]), watching(cached)
    assert all(watch.is_unchanged() for watch in roots)
    cached()
    assert all(watch.is_unchanged() for watch in roots)
    number = 2
    assert not any(watch.is_unchanged() for watch in roots)


@pytest.mark.parametrize(
    "value",
    [
        re.compile("a"),
        logging.getLogger("a"),
        Path("a"),
        PurePosixPath("a"),
        datetime.date(2020, 1, 1),
        datetime.timedelta(1),
        decimal.Decimal(1),
        fractions.Fraction(1),
        uuid.UUID(int=1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_of_the_standard_library_that_never_change_can_be_watched(value: Any) -> None:
    assert watching(value).is_unchanged()


def test_a_list_that_contains_itself_can_be_watched() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert watching(endless).is_unchanged()
