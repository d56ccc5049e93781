"""Text from outside, made safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distribute_challenge.core.printable import MOST, printable


@pytest.mark.slow
@given(
    st.text(st.characters(exclude_categories=[]), max_size=30).flatmap(
        lambda text: st.sampled_from([text, 99 * text])
    )
)
def test_printable_text_is_one_line_of_bounded_length_for_any_input(text: str) -> None:
    """Halves of surrogate pairs, too; and what prints already stays as it is."""
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= MOST
    assert printable(shown) == shown
    assert shown == text or not text.isprintable() or len(text) > MOST
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("worker@größer ×5", "worker@größer ×5"),
        ("\x1b[2J\r\n", "\\x1b[2J\\r\\n"),
        ("a\u2028b\u202ec\x9b", "a\\u2028b\\u202ec\\x9b"),
        ("\ud800", "\\ud800"),
        ("x" * (MOST + 1), "x" * (MOST - 3) + "..."),
    ],
    ids=["plain", "control", "marks", "half", "long"],
)
def test_unprintable_characters_are_escaped_and_long_text_is_cut(text: str, shown: str) -> None:
    assert printable(text) == shown
