"""A hook of mkdocs that links the names of classes and functions in the API reference.

Docstrings write names as code. Where the page has a heading for a name, this makes it a link.
"""

import re
from typing import Any

HEADING = re.compile(r'<h\d id="(?P<id>distribute_challenge\.[\w.]+)"')
#: Where names stay as they are: links, code, headings, and cells with the name of a parameter.
LEFT_ALONE = re.compile(
    r"(<a\b.*?</a>|<pre\b.*?</pre>|<h\d\b.*?</h\d>|<td>\s*<code>\w+</code>\s*</td>)", re.DOTALL
)
CODE = re.compile(r"<code>(?P<name>[A-Za-z_][\w.]*)</code>")


def places(html: str) -> dict[str, str]:
    """Return the id of the heading for each name: `Future`, and `Future.cancel`."""
    found: dict[str, str] = {}
    for place in HEADING.findall(html):
        parts = place.split(".")
        # A class or function of its own; or a method, with its class.
        is_method = len(parts) > 2 and parts[-2][0].isupper()
        found.setdefault(".".join(parts[-2:]) if is_method else parts[-1], place)
    return found


def linked(html: str) -> str:
    """Return a page with its names linked."""
    known = places(html)

    def link(code: re.Match[str]) -> str:
        place = known.get(code["name"])
        return f'<a href="#{place}">{code[0]}</a>' if place else code[0]

    parts = LEFT_ALONE.split(html)
    parts[::2] = [CODE.sub(link, part) for part in parts[::2]]
    return "".join(parts)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with the content of each page."""
    return linked(html) if page.file.src_uri == "api.md" else html
