"""A hook of mkdocs that warns of tables and examples which a page shows as plain text.

With --strict that is an error.
"""

import logging
import re
from typing import Any

log = logging.getLogger("mkdocs.hooks.check_rendering")

CODE = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)
#: What it looks like in HTML, and what to do about it.
FAULTS = {
    r"(?m)^(?:<p>|<li>)?\s*\|.*\|": "a table shows its pipes: leave a line empty above it",
    r'<(?:details|div) class="(?:admonition )?examples?"': 'a docstring says "Example:", which makes a box: write "Examples:"',
    r"<p>(?:[^<]|<(?!/p>))*&gt;&gt;&gt; ": "a doctest is shown as text: leave a line empty above it",
}


def faults(html: str) -> list[str]:
    """What is wrong with a page."""
    text = CODE.sub("", html)
    return [advice for pattern, advice in FAULTS.items() if re.search(pattern, text)]


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Called by mkdocs with each page as it will be written."""
    for fault in faults(output):
        log.warning("%s: %s", page.file.src_uri, fault)
    return output
