"""The parts of a page."""

from html.parser import HTMLParser

from distribute_challenge.reporting.page import (
    figure,
    notes,
    page,
    paragraph,
    section,
    table,
)

HOSTILE = "<script>alert('x')</script>&\""


def test_texts_are_escaped_wherever_they_stand() -> None:
    parts = [
        section(HOSTILE),
        paragraph("answer", HOSTILE),
        table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]]),
        figure(b"<svg/>", text=HOSTILE, caption=HOSTILE),
        notes([(HOSTILE, HOSTILE)]),
    ]
    for part in (*parts, page(HOSTILE, [])):
        assert "<script" not in part
        assert "&lt;script&gt;" in part


def test_a_page_closes_its_html_elements_in_the_right_order() -> None:
    """The page closes its elements in the right order."""
    opened: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "link", "img"):
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    body = [
        section("a", table(["b"], [["c"]])),
        figure(b"", text="d", caption="e"),
        notes([("f", "g")]),
    ]
    Parser().feed(page("title", body))
    assert opened == []


def test_numbers_are_aligned_to_the_right_and_words_to_the_left() -> None:
    made = table(["name", "count", "word"], [["a", "1", "b"]], words=[2])
    assert '<th scope="row">a</th><td class="number">1</td><td>b</td>' in made
    assert (
        '<th scope="col">name</th><th scope="col" class="number">count</th><th scope="col">word</th>'
        in made
    )


def test_a_table_can_do_without_heads() -> None:
    assert "<thead>" not in table([], [["a", "1"]])
