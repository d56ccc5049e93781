"""The small table that notebooks show."""

import re
from html.parser import HTMLParser

from distribute_challenge.core.card import card

HOSTILE = "<script>alert('x')</script>&\""


class Parsed(HTMLParser):
    """The words of some HTML, after a check that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"div", "table", "tr", "th", "td", "code", "span"}
        assert {name for name, _ in attrs} <= {"style"}
        self.styles.extend(value or "" for _, value in attrs)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data.strip())


def test_texts_are_escaped_and_rows_without_a_text_are_left_out() -> None:
    assert Parsed(card(HOSTILE, [(HOSTILE, HOSTILE), ("empty", "")])).words == [HOSTILE] * 3
    assert "<table" not in card("title", [])


def test_the_card_inherits_its_colours_from_the_page() -> None:
    """So that it is readable on a dark one. Some pages let no table inherit its colour."""
    assert '<table style="border-collapse:collapse;color:inherit;' in card("title", [("a", "b")])
    for style in Parsed(card("title", [("name", "text")])).styles:
        for name, value in re.findall(r"(?:^|;)([a-z-]*color|background):([^;]*)", style):
            assert value in ("inherit", "none"), (name, value)
