"""The lanes as SVG."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from distribute_challenge.reporting import picture
from distribute_challenge.reporting.colours import CATEGORIES, GREY
from distribute_challenge.reporting.figures import OTHERS
from distribute_challenge.reporting.lanes import Bar, Lanes
from distribute_challenge.reporting.picture import MOST_ROWS, Picture, drawn


def filled(*bars: Bar) -> Lanes:
    lanes = Lanes()
    for bar in bars:
        lanes.add(bar)
    return lanes


def paths(found: Picture) -> Iterator[tuple[str, str, str]]:
    """Fill, shape and hint of each path."""
    for element in ET.fromstring(found.svg).iter("path"):
        yield (element.get("fill", ""), element.get("d", ""), element.findtext("title", ""))


def texts(found: Picture) -> list[str]:
    return [element.text or "" for element in ET.fromstring(found.svg).iter("text")]


def test_each_bar_has_the_colour_of_its_function_and_says_what_it_is() -> None:
    found = drawn(
        filled(Bar("<w>", 10, 14, "f", 1, 0), Bar("<w>", 14, 15, "g", 3, 1)), began=10, ended=20
    )
    assert found.colours == {"f": CATEGORIES[0], "g": CATEGORIES[1]}
    hints = [(fill, hint) for fill, _, hint in paths(found) if hint]
    assert hints == [
        (CATEGORIES[0], "1 call of f: 4.00 s on <w>"),
        (CATEGORIES[1], "3 calls of g, 1 failed: 1.00 s on <w>"),
    ]
    assert sum(fill == picture.ALARM for fill, _, _ in paths(found)) == 1
    assert texts(found) == ["0", "2 s", "4 s", "6 s", "8 s", "<w>"]


def test_the_axis_takes_in_calls_that_other_clocks_put_outside_of_the_block() -> None:
    found = drawn(filled(Bar("w", 8, 12, "f", 1, 0)), began=10, ended=11)
    (shape,) = [shape for _, shape, hint in paths(found) if hint]
    assert shape.startswith(f"M{picture.LABELS:.1f} ")


def test_many_bars_are_drawn_together_and_rare_functions_in_grey(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture, "MOST_HINTS", 5)
    found = drawn(
        filled(*(Bar("w", n, n + 1 - n / 20, f"f{n % 7}", 1, 0) for n in range(14))), 0, 14
    )
    assert list(found.colours) == ["f0", "f1", "f2", "f3", "f4", OTHERS]
    assert [fill for fill, _, _ in paths(found) if fill] == [*CATEGORIES, GREY]
    assert not any(hint for _, _, hint in paths(found))


def test_bars_of_several_functions_in_a_cell_are_stacked() -> None:
    lanes = filled(
        Bar("w", 0, 10, "f", 5, 0, busy=0.5),
        Bar("w", 0, 10, "g", 5, 0, busy=0.25),
        Bar("w", 0, 10, OTHERS, 5, 0, busy=0.9),
    )
    shapes = [shape for _, shape, hint in paths(drawn(lanes, 0, 10)) if hint]
    tops = [float(shape.split()[1].partition("h")[0]) for shape in shapes]
    half = picture.TOP + picture.BAR / 2
    assert tops == pytest.approx([half, half - picture.BAR / 4, picture.TOP], abs=0.1)


def test_the_picture_shows_the_busiest_workers_with_shortened_names() -> None:
    lanes = filled(*(Bar("x" * 50 + str(n), 0, n, "f", 1, 0) for n in range(1, MOST_ROWS + 4)))
    found = drawn(lanes, 0, 100)
    assert found.left_out == 3
    assert max(map(len, texts(found))) == picture.MOST_LABEL
