"""Draws pictures as files and as bytes: the same run gives the same bytes, in any user's style."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path

from distribute_challenge.benchmarking.extra import benchmarking_extra
from distribute_challenge.benchmarking.recording import Run
from distribute_challenge.benchmarking.results.analysis import StepFigures, figures
from distribute_challenge.benchmarking.results.plots.pictures import PICTURES, Picture

__all__ = ["draw", "render", "require"]

# Files must not contain the time at which they were made, or two files of one run would differ.
NO_DATES: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def require() -> None:
    """Check that pictures can be drawn, before an hour of measuring and not after it.

    Raises:
        BackendError: NumPy or Matplotlib is not installed. The text has the line that installs
            them.
    """
    with benchmarking_extra():
        for package in ("numpy", "matplotlib"):
            import_module(package)


def draw(run: Run, folder: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write every picture of a run.

    Args:
        run: A complete or an interrupted run.
        folder: Folder for the files, which exists.
        formats: Some of ``"png"``, ``"svg"`` and ``"pdf"``; a picture gets a file for each.

    Returns:
        Paths of the files.

    Raises:
        BackendError: NumPy or Matplotlib is not installed. The text has the line that installs
            them.
    """
    require()
    steps = figures(run)
    paths = []
    for picture in PICTURES:
        for kind, content in render(picture, run, steps, formats=formats).items():
            path = folder / f"{picture.name}.{kind}"
            path.write_bytes(content)
            paths.append(path)
    return paths


def render(
    picture: Picture, run: Run, steps: Sequence[StepFigures], *, formats: Sequence[str]
) -> dict[str, bytes]:
    """Return one picture as bytes, by format.

    Args:
        picture: Picture to draw.
        run: Run that it shows.
        steps: Figures of the run.
        formats: Some of ``"png"``, ``"svg"`` and ``"pdf"``.
    """
    module, _, function = picture.function.partition(":")
    rendered = {}
    with _own_style():
        figure = getattr(import_module(module), function)(picture.title, run, steps)
        for kind in formats:
            file = BytesIO()
            figure.savefig(file, format=kind, metadata=NO_DATES[kind])
            rendered[kind] = file.getvalue()
    return rendered


@contextmanager
def _own_style() -> Iterator[None]:
    """Use the pictures' own style in the block, without the user's, and restore it afterwards."""
    import matplotlib

    from distribute_challenge.benchmarking.results.plots.style import STYLE

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield
