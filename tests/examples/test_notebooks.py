"""The notebooks run from the first cell to the last, on a real kernel; their own asserts hold."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))

#: Seconds for one cell. It only ends a hang: on a quiet machine no cell takes five.
PATIENCE = 300


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.usefixtures("unmeasured")
@pytest.mark.filterwarnings("ignore")  # Of the notebooks' own libraries.
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    book = nbformat.read(notebook, as_version=4)
    client = NotebookClient(book, timeout=PATIENCE, kernel_name="python3")
    client.execute(cwd=str(tmp_path), env=dict(os.environ))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(notebook: Path) -> None:
    """They differ from run to run, and would hide what a change has changed."""
    cells = nbformat.read(notebook, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count] == []


def test_the_guide_names_each_notebook() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "notebooks.md").read_text()
    assert len(NOTEBOOKS) == 5
    assert [path.name for path in NOTEBOOKS if f"`{path.name}`" not in guide] == []
