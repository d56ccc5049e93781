"""What README and docs show is run: each Python block as a script of its own, in an empty folder."""

import os
import re
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from distribute_challenge import LocalCluster
from tests.clusters import ray_address

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>.+?) -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
PRINTED = re.compile(r"^ *print\(.*\) *# (?P<shown>.*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)(?P<target>[^)#\s]+)")


class Block(NamedTuple):
    """A block of Python, and what the HTML comment above it says of it."""

    code: str
    mark: str


def blocks() -> list[object]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code"))
            found.append(
                pytest.param(Block(match["code"], match["mark"] or ""), id=f"{page.name}:{line}")
            )
    return found


def run(code: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, str(script)],
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
def test_a_block_runs_and_prints_what_its_comments_say(block: Block, tmp_path: Path) -> None:
    if block.mark.startswith("needs "):
        pytest.importorskip(block.mark.removeprefix("needs "))
    if block.mark == "with a broker":
        with LocalCluster(workers=1) as cluster:
            script = run(block.code, tmp_path, CELERY_BROKER_URL=cluster.broker_url)
    elif block.mark == "with Ray":
        script = run(block.code, tmp_path, RAY_ADDRESS=ray_address())
    else:
        script = run(block.code, tmp_path)
    assert script.returncode == 0, script.stderr
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_page_on_backends_shows_the_package_that_is_tested() -> None:
    page = (ROOT / "docs" / "writing-a-backend.md").read_text()
    package = ROOT / "tests" / "plugin" / "package"
    assert (package / "fresh_interpreter.py").read_text() in page
    assert '[project.entry-points."distribute_challenge.execution_backends"]' in page


def test_the_readme_has_the_two_commands() -> None:
    commands = re.findall(
        r"^<!-- command: (\w+) -->\n```bash\n(.+)\n```$", PAGES[0].read_text(), re.MULTILINE
    )
    assert [name for name, _ in commands] == ["run", "test"]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
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
def test_what_a_page_shows_as_plain_text_is_found(shown: str, faults: list[str]) -> None:
    """The hook that runs at each build of the documentation finds it."""
    hook = runpy.run_path(str(ROOT / ".ci" / "check_rendering.py"))
    assert [
        advice.partition(":" if "Example" not in advice else ",")[0]
        for advice in hook["faults"](shown)
    ] == faults


def test_docstrings_say_examples() -> None:
    """The singular makes a box of text of what should be code."""
    sources = (ROOT / "distribute_challenge").rglob("*.py")
    assert [
        str(path) for path in sources if re.search(r"^ *Example:$", path.read_text(), re.MULTILINE)
    ] == []
