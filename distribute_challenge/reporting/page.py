"""The frame and the parts of an HTML page that loads nothing; the caller gives what they show."""

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from html import escape
from string import Template

__all__ = ["details", "drawing", "figure", "notes", "page", "paragraph", "section", "table"]

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
:root {
  color-scheme: light dark;
  --ink: #222; --quiet: #666; --line: #ddd; --paper: #fff; --alarm: #a8321a; --alarm-paper: #fdeee9;
  --fine: #0b6e4f; --fine-paper: #e9f6f1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e6e6; --quiet: #a3a3a3; --line: #3a3a3a; --paper: #16181a; --alarm: #ffb4a0;
    --alarm-paper: #43201a; --fine: #8fe0c1; --fine-paper: #16352b;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: var(--paper); \
color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
.subject { color: var(--quiet); margin: 0 0 1.25rem; }
.answer { font-size: 1.2rem; line-height: 1.4; margin: 0 0 1rem; }
.mishap, .fine { border-radius: .4rem; margin: .5rem 0; overflow-wrap: anywhere; \
padding: .5rem .8rem; }
.mishap { background: var(--alarm-paper); color: var(--alarm); font-weight: 600; }
.fine { background: var(--fine-paper); color: var(--fine); }
.wide { margin: .75rem 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left; \
vertical-align: bottom; }
th { color: var(--quiet); font-weight: 600; }
tbody th { color: inherit; white-space: nowrap; }
.number { padding-left: .7rem; padding-right: 0; text-align: right; white-space: nowrap; }
thead th.number { white-space: normal; }
figure { margin: 1.25rem 0; }
figure img { background: #fff; border-radius: .5rem; display: block; height: auto; \
min-width: 38rem; padding: .5rem;
  width: 100%; }
figure svg { display: block; height: auto; min-width: 38rem; width: 100%; }
.legend { font-size: .88rem; margin: .25rem 0; }
.legend span { margin-right: 1rem; white-space: nowrap; }
.legend i { border-radius: .15rem; display: inline-block; height: .7em; margin-right: .35rem; \
width: .9em; }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; }
summary { cursor: pointer; font-size: .92rem; overflow-wrap: anywhere; }
pre { font-size: .82rem; margin: .5rem 0; overflow-x: auto; }
figcaption, .notes { color: var(--quiet); font-size: .88rem; }
figcaption { margin-top: .4rem; }
.notes dt { color: var(--ink); font-weight: 600; margin-top: .5rem; }
.notes dd { margin: 0; }
</style>
</head>
<body>
$body
</body>
</html>
""")


def page(title: str, body: Sequence[str]) -> str:
    """Return a whole page.

    Args:
        title: Title, as text.
        body: Parts, as HTML from the functions below.
    """
    return _PAGE.substitute(title=escape(title), body="\n".join(body))


def section(title: str, *parts: str) -> str:
    """Return a section with a heading, given as text, and with parts, given as HTML."""
    return "\n".join([f"<h2>{escape(title)}</h2>", *parts])


def paragraph(kind: str, text: str) -> str:
    """Return a paragraph of a kind.

    Args:
        kind: ``"title"`` for the heading of the page, ``"subject"``, ``"answer"``, ``"mishap"`` or
            ``"fine"``.
        text: The text.

    Examples:
        >>> paragraph("fine", "1 < 2")
        '<p class="fine">1 &lt; 2</p>'
    """
    if kind == "title":
        return f"<h1>{escape(text)}</h1>"
    return f'<p class="{kind}">{escape(text)}</p>'


def details(summary: str, text: str) -> str:
    """Return a line that shows a longer text, with its line breaks, when it is clicked."""
    return f"<details><summary>{escape(summary)}</summary>\n<pre>{escape(text)}</pre></details>"


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[int] = ()
) -> str:
    """Return a table of texts, which scrolls by itself where it is too wide.

    Args:
        heads: One for each column; empty: there is no line of heads.
        rows: The first cell of each names its row.
        words: Columns beside the first that hold words; the others hold numbers.
    """

    def kind(column: int) -> str:
        return "" if column in words else ' class="number"'

    head = "".join(
        f'<th scope="col"{kind(i) if i else ""}>{escape(text)}</th>' for i, text in enumerate(heads)
    )
    lines = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{kind(i)}>{escape(text)}</td>" for i, text in enumerate(rest, start=1))
        + "</tr>"
        for first, *rest in rows
    ]
    top = f"<thead><tr>{head}</tr></thead>\n" if heads else ""
    return (
        f'<div class="wide" tabindex="0"><table>\n{top}<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def figure(svg: bytes, *, text: str, caption: str) -> str:
    """Return a figure with a picture inside the page; on a phone it scrolls.

    The picture is an image, so that names inside it do not clash with those of other pictures.

    Args:
        svg: The picture.
        text: What it shows, for readers who do not see it.
        caption: How to read it.
    """
    data = b64encode(svg).decode()
    image = f'<img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'
    return (
        f'<figure>\n<div class="wide" tabindex="0">{image}</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def drawing(svg: str, colours: Mapping[str, str], caption: str) -> str:
    """Return a figure with a picture that is part of the page, and takes its colours from it.

    Args:
        svg: The picture, as the element ``svg``.
        colours: What each colour stands for, as text; shown as a legend.
        caption: How to read it.
    """
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in colours.items()
    )
    return (
        f'<figure>\n<p class="legend">{legend}</p>\n<div class="wide" tabindex="0">{svg}</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def notes(terms: Sequence[tuple[str, str]]) -> str:
    """Return a list of words with their meanings."""
    lines = [f"<dt>{escape(word)}</dt><dd>{escape(meaning)}</dd>" for word, meaning in terms]
    return '<dl class="notes">\n' + "\n".join(lines) + "\n</dl>"
