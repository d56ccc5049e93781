"""A pickle as text, without unpickling it."""

import collections
import datetime
import enum
import pickle
import random
import sys
from typing import Any

import numpy
import pytest

from distribute_challenge.serialisation import dumps, pickle_text
from distribute_challenge.serialisation.pickle_text import outline, value_text


class Colour(enum.Enum):
    RED = 1


class Model:
    def __init__(self) -> None:
        self.a, self.b = 1, [2]


class Keywords:
    def __getnewargs_ex__(self) -> Any:
        return (), {"a": 1}

    def __new__(cls, *, a: int = 0) -> "Keywords":
        return super().__new__(cls)


class Killer:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


ITSELF: list[Any] = []
ITSELF.append(ITSELF)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((None, True, False), "(None, True, False)"),
        ((1, 300, -5, 2**40, -(2**70)), f"(1, 300, -5, {2**40}, {-(2**70)})"),
        (1.5, "1.5"),
        (10**300, "<int of 125 bytes>"),
        (1 << 3000, "<int of 376 bytes>"),
        ("é", "'é'"),
        (b"a", "b'a'"),
        (bytearray(b"a"), "bytearray(b'a')"),
        ([1, [2], {}, ()], "[1, [2], {}, ()]"),
        ({"a": 1, (1, 2): frozenset([3])}, "{'a': 1, (1, 2): frozenset({3})}"),
        ({"a": [1]}, "{'a': [1]}"),
        ({1, 2}, "{1, 2}"),
        ((1, 2, 3, 4), "(1, 2, 3, 4)"),
        ("x" * 10**6, value_text("x" * 10**6)),
        ("x" * 10**6 + "end", value_text("x" * 10**6 + "end")),
        (b"x" * 10**6, value_text(b"x" * 10**6)),
        (ITSELF, "[[[[[...]]]]"),
        ([Model(), Colour.RED, Keywords(), Killer()], "[<Model>, <Colour>, <Keywords>, <exit>]"),
        ([datetime.date(2026, 1, 1), 1j, int], "[<date>, <complex>, int]"),
        (
            [collections.Counter("a"), collections.OrderedDict(a=1), ValueError(1)],
            "[<Counter>, <OrderedDict>, <ValueError>]",
        ),
        ([lambda: None, numpy.arange(3)], "[<function>, <ndarray>]"),
        ([type("Own", (), {})], "[Own]"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_pickle_is_shown_as_text_without_being_loaded(value: Any, text: str) -> None:
    """Numbers, text and containers as they are; a stand-in for everything else."""
    found, is_whole = outline(dumps(value, "a value").data)
    assert is_whole
    assert value_text(found).startswith(text)


def test_pickles_of_the_binary_protocols_are_shown_and_others_refused() -> None:
    """Protocols 2 to 5; the two before are text."""
    value = (1, "a", [2, 3], {"k": "v"}, b"b")
    for protocol in (3, 4, 5):
        assert outline(pickle.dumps(value, protocol)) == (value, True)
    with pytest.raises(ValueError, match="does not write"):
        outline(pickle.dumps(value, 0))


def test_out_of_band_buffers_are_shown_as_buffer() -> None:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(
        [pickle.PickleBuffer(b"read only"), pickle.PickleBuffer(bytearray(b"x"))],
        5,
        buffer_callback=buffers.append,
    )
    assert value_text(outline(data)[0]) == "[<buffer>, <buffer>]"


def test_only_the_first_parts_of_a_long_pickle_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments of a call may be too long to show."""
    monkeypatch.setattr(pickle_text, "MOST_STEPS", 20)
    found, is_whole = outline(dumps((("a", list(range(100)), "b"), {}), "a value").data)
    assert not is_whole
    assert value_text(found) == "['a', [0, 1, 2, 3, 4, 5, ...]]"
    found, is_whole = outline(dumps((tuple(range(100)), {}), "a value").data)
    assert value_text(found) == "[0, 1, 2, 3, 4, 5, ...]"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"\x80",
        b"(",
        b")\x85",
        b"N)R",
        b"NNN}s.",
        b"]h\x07.",
        b"N\x85N\x8c\xff.",
        b"t",
        b"\x86.",
        b"Na.",
    ],
)
def test_malformed_pickle_data_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        outline(data)
    with pytest.raises(ValueError, match=r"."):
        outline(memoryview(data))


@pytest.mark.slow
def test_any_bytes_give_a_value_or_a_value_error() -> None:
    """They give no other error, and no endless loop."""
    data = dumps(
        [1, "abc", [1, 2, {"a": Model()}], numpy.arange(3), {"k": (1, 2, 3, 4)}, {1, 2}], "a value"
    ).data
    chance = random.Random(1)
    for _ in range(3000):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 5)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            outline(bytes(broken))
        except ValueError:
            continue
