"""Tables as text."""

from distribute_challenge.core.tables import table


def test_numbers_are_aligned_to_the_right_and_words_to_the_left() -> None:
    assert table(["name", "calls"], [["a", 5], ["long", 12.5]]).splitlines() == [
        "name  calls",
        "a         5",
        "long   12.5",
    ]


def test_a_column_is_of_numbers_only_if_all_its_cells_are() -> None:
    assert table(["pid", "x"], [[1, "x"], ["none", "x"]]).splitlines() == [
        "pid   x",
        "1     x",
        "none  x",
    ]


def test_columns_of_texts_can_be_asked_to_stand_on_the_right() -> None:
    """Such as numbers with a unit."""
    assert table(["time", "x"], [["1 s", "x"], ["12 s", "x"]], right=[0]).splitlines() == [
        "time  x",
        " 1 s  x",
        "12 s  x",
    ]


def test_no_line_ends_in_spaces() -> None:
    assert table(["name", "host"], [["a", "b"]]).splitlines() == ["name  host", "a     b"]


def test_a_table_without_rows_has_only_its_heads() -> None:
    assert table(["name", "host"], []) == "name  host"


def test_a_cell_is_one_line_whatever_its_text_is() -> None:
    """It may come from outside."""
    assert table(["name", "calls"], [["a\x1b[2J\nb", 5]]).splitlines() == [
        "name         calls",
        "a\\x1b[2J\\nb      5",
    ]
