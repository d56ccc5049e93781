"""A real notebook: what calls print appears under the cell that they were made in."""

import os
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.celery

CELLS = [
    """
import time
from distribute_challenge import compute_this

@compute_this
def say(text, pause=0.0):
    print(text)
    time.sleep(pause)
    print(text, "again")
    return text

say("computed").compute()
""",
    """
future = say("submitted", 0.5).submit()
print("cell 2")
future.result()
""",
    """
print(list(say.map(["mapped"])))
""",
    """
await say("awaited")
""",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Of the notebook's own libraries.
def test_lines_appear_under_the_cell_of_their_call() -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    NotebookClient(book, timeout=60, kernel_name="python3").execute(env=dict(os.environ))
    printed = [_printed(cell) for cell in book.cells]
    assert printed == [
        ["computed", "computed again"],
        ["cell 2", "submitted", "submitted again"],
        ["mapped", "mapped again", "['mapped']"],
        ["awaited", "awaited again"],
    ]


def _printed(cell: Any) -> list[str]:
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return [line.rpartition(" │ ")[2] for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Of the notebook's own libraries.
def test_a_progress_bar_works_without_ipywidgets() -> None:
    """Without ipywidgets, it is plain text, and no warning asks for them."""
    cells = [
        """
import sys
sys.modules["ipywidgets"] = None

from distribute_challenge import compute_this, progress

@compute_this(backend="threads")
def invert(x):
    return 1 / x

len(list(invert.map(range(4), progress=True, on_error="return")))
""",
        """
len(progress([invert(1), invert(0)]))
""",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    NotebookClient(book, timeout=60, kernel_name="python3").execute(env=dict(os.environ))
    for cell, count in zip(book.cells, (4, 2), strict=True):
        shown = "".join(output.get("text", "") for output in cell.outputs)
        assert f"{count}/{count}" in shown
        assert "failed=1" in shown
        assert "IProgress" not in shown
