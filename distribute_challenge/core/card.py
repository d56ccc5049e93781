"""The small HTML table that notebooks show for an object.

It has no colours of its own, so that it is readable on light and on dark pages, and it loads
nothing.
"""

from collections.abc import Iterable
from html import escape

__all__ = ["card", "link"]

_FRAME = "border:1px solid rgba(128,128,128,.45);border-radius:.4em;display:inline-block"
_CELL = "background:none;border:0;padding:.1em .6em;text-align:left;vertical-align:top"


def card(title: str, rows: Iterable[tuple[str, str]], below: str = "") -> str:
    """Return a title and rows as HTML.

    Args:
        title: The title, as text.
        rows: A name and a text each; rows without a text are left out.
        below: What follows, as HTML.

    Examples:
        >>> "1 &lt; 2" in card("Future", [("result", "1 < 2"), ("worker", "")])
        True
    """
    lines = "".join(
        f'<tr style="background:none"><th style="{_CELL};font-weight:normal;opacity:.7">{escape(name)}</th>'
        f'<td style="{_CELL};overflow-wrap:anywhere"><code style="background:none;color:inherit">{escape(text)}</code></td></tr>'
        for name, text in rows
        if text
    )
    return (
        f'<div style="{_FRAME};color:inherit;margin:.2em 0;max-width:100%;padding:.4em .2em">'
        f'<div style="font-weight:600;padding:0 .6em">{escape(title)}</div>'
        + (
            f'<table style="border-collapse:collapse;color:inherit;font-size:inherit;margin:0">{lines}</table>'
            if lines
            else ""
        )
        + f"{below}</div>"
    )


def link(text: str, address: str) -> str:
    """Return a link to a page as HTML, for what follows the rows.

    Examples:
        >>> link("page", "http://127.0.0.1/?a&b")
        '<a style="padding:0 .6em" href="http://127.0.0.1/?a&amp;b">page</a>'
    """
    return f'<a style="padding:0 .6em" href="{escape(address)}">{escape(text)}</a>'
