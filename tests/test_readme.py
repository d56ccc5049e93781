"""What README and docs show is run: each Python block as a script of its own, in an empty folder."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from distribute_challenge import LocalCluster
from tests.clusters import ray_address

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]+?) -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
PRINTED = re.compile(r"^ *print\(.*\) *# (?P<shown>.*)$", re.MULTILINE)
#: Pages whose blocks start clusters of their own, as on a laptop. All others share one, since to
#: start one for each would take longer than the blocks do. Only of the first, lines of calls are
#: shown.
ON_THEIR_OWN = ("README.md", "index.md", "logs.md")

SHELL = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"(?:\]\(|<)(https?://[^)>\s]*)")
LINK = re.compile(r"\]\((?!https?://|#)(?P<target>[^)#\s]+)")


class Block(NamedTuple):
    """A block of Python, its page, and what the HTML comment above it says of it."""

    page: str
    code: str
    mark: str


def name_of(page: Path) -> str:
    return page.relative_to(DOCS if DOCS in page.parents else ROOT).as_posix()


def blocks() -> list[object]:
    found = []
    for page in PAGES:
        text, name = page.read_text(), name_of(page)
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code"))
            block = Block(name, match["code"], match["mark"] or "")
            found.append(pytest.param(block, id=f"{name}:{line}"))
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as running:
        yield running


def run(
    code: str, folder: Path, *module: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, *module, str(script)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.celery
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("block", blocks())
def test_a_block_runs_and_prints_what_its_comments_say(
    block: Block, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if block.mark.startswith("needs "):
        pytest.importorskip(block.mark.removeprefix("needs "))
    if block.mark == "with pytest":
        script = run(block.code, tmp_path, "-m", "pytest")
    elif block.mark == "with Ray":
        script = run(block.code, tmp_path, RAY_ADDRESS=ray_address())
    elif block.mark == "with a broker" or block.page not in ON_THEIR_OWN:
        address = request.getfixturevalue("cluster").broker_url
        script = run(block.code, tmp_path, CELERY_BROKER_URL=address)
    else:
        script = run(block.code, tmp_path)
    assert script.returncode == 0, script.stdout + script.stderr
    # After what is printed the comment may go on, behind a colon.
    shown = [match["shown"] for match in PRINTED.finditer(block.code)]
    if shown:
        printed = script.stdout.splitlines()
        assert len(printed) == len(shown)
        assert [
            text
            for text, line in zip(shown, printed, strict=True)
            if text.partition(": ")[0] != line
        ] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_targets_of_relative_links_exist(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_list_of_guides_is_complete() -> None:
    listed = LINK.findall((DOCS / "how-to" / "index.md").read_text())
    guides = {path.name for path in (DOCS / "how-to").glob("*.md")} - {"index.md"}
    assert guides - set(listed) == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_addresses_of_other_sites_are_well_formed(page: Path) -> None:
    """Whether the sites answer is not asked: tests need no network."""
    wrong = []
    for address in ADDRESS.findall(page.read_text()):
        parts = urlsplit(address)
        local = parts.hostname == "localhost"
        if (
            parts.scheme != ("http" if local else "https")
            or "." not in (parts.hostname or "") + "." * local
        ):
            wrong.append(address)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_of_the_shell_can_be_parsed(page: Path) -> None:
    for block in SHELL.findall(page.read_text()):
        parsed = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, timeout=60, check=False
        )
        assert (parsed.returncode, parsed.stderr) == (0, ""), block


def test_the_home_page_begins_with_the_introduction_of_the_readme() -> None:
    """The same introduction, and the same two programs: readers of either miss nothing."""
    home, readme = (DOCS / "index.md").read_text(), (ROOT / "README.md").read_text()
    introduction = home[home.index("# ") :].partition("\n## ")[0]
    assert readme.startswith(introduction)
    codes = [match["code"] for match in BLOCK.finditer(home)]
    assert codes == [match["code"] for match in BLOCK.finditer(readme)][: len(codes)]


def test_the_page_on_backends_shows_the_package_that_is_tested() -> None:
    page = (DOCS / "writing-a-backend.md").read_text()
    package = ROOT / "tests" / "plugin" / "package"
    assert (package / "fresh_interpreter.py").read_text() in page
    assert '[project.entry-points."distribute_challenge.execution_backends"]' in page


def test_the_readme_has_the_two_commands() -> None:
    commands = re.findall(
        r"^<!-- command: (\w+) -->\n```bash\n(.+)\n```$", PAGES[0].read_text(), re.MULTILINE
    )
    assert [name for name, _ in commands] == ["run", "test"]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_tables_have_an_empty_line_above(page: Path) -> None:
    """Renderers show a table without it as a line of text."""
    lines = ["", *page.read_text().splitlines()]
    starts = [
        (above, line)
        for above, line in pairwise(lines)
        if line.startswith("|") and not above.startswith("|")
    ]
    assert [line for above, line in starts if above] == []


@pytest.mark.parametrize(
    ("shown", "faults"),
    [
        (
            "<p>each explains itself.\n| <code>worker</code> | default |\n| --- | --- |</p>",
            ["a table shows its pipes"],
        ),
        (
            '<details class="example" open><summary>Example</summary><blockquote>',
            ['a docstring says "Example:"'],
        ),
        ("<p>For example:\n&gt;&gt;&gt; square(2)</p>", ["a doctest is shown as text"]),
        (
            (
                "<table><td>a</td></table><p>a <code>x | y | z</code></p><pre>| a |\n&gt;&gt;&gt; "
                "1</pre>"
            ),
            [],
        ),
    ],
)
def test_the_docs_hook_finds_markup_that_a_page_shows_as_plain_text(
    shown: str, faults: list[str]
) -> None:
    """The hook that runs at each build of the documentation finds it."""
    hook = runpy.run_path(str(ROOT / ".ci" / "check_rendering.py"))
    assert [
        advice.partition(":" if "Example" not in advice else ",")[0]
        for advice in hook["faults"](shown)
    ] == faults


def test_names_of_the_reference_are_links() -> None:
    """The hook that runs at each build links a name, and leaves other code alone."""
    hook = runpy.run_path(str(ROOT / ".ci" / "link_names.py"))
    headings = (
        '<h3 id="distribute_challenge.Future"><code>Future</code></h3>'
        '<h4 id="distribute_challenge.core.futures.Future.cancel"><code>cancel</code></h4>'
    )
    kept = (
        '<pre><code>Future</code></pre><a href="#x"><code>Future</code></a><code>cancel</code>'
        "<td>\n<code>Future</code>\n</td>"
    )
    text = "<p><code>Future</code> and <code>Future.cancel</code></p>"
    shown = (
        '<p><a href="#distribute_challenge.Future"><code>Future</code></a> and '
        '<a href="#distribute_challenge.core.futures.Future.cancel"><code>Future.cancel</code></a></p>'
    )
    assert hook["linked"](headings + kept + text) == headings + kept + shown


def test_docstrings_say_examples() -> None:
    """The singular makes a box of text of what should be code."""
    sources = (ROOT / "distribute_challenge").rglob("*.py")
    assert [
        str(path) for path in sources if re.search(r"^ *Example:$", path.read_text(), re.MULTILINE)
    ] == []
