"""`report`: writes a page on all calls of a block."""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from distribute_challenge.core.folding import folded
from distribute_challenge.core.outcome import add_note
from distribute_challenge.core.recording import recording
from distribute_challenge.errors import OptionError
from distribute_challenge.reporting.study import Study
from distribute_challenge.reporting.study_page import study_page

__all__ = ["report"]


def report(path: str | os.PathLike[str], *, title: str | None = None) -> "_Report":
    """Write a page on all calls that this process makes in a block, when the block ends.

    The page is one HTML file that loads nothing. It shows which worker ran what and when, how long
    the calls of each function took, how many bytes their arguments and results have, and what
    failed, with tracebacks. It is written even if the block raises.

    It sees the calls of all threads, on every backend, made by `compute`, `submit`, ``await``,
    maps, `gather`, executors, joblib and Dask. It keeps a bounded amount of memory, whatever the
    number of calls; docs/watching.md has the bounds.

    Args:
        path: The file. Its folder must exist. A file that is there is replaced.
        title: The heading of the page; None: the name of the file, without its suffix.

    Returns:
        A context manager, for one block. It gives the path.

    Raises:
        OptionError: The folder does not exist, or the path is a folder.
        OSError: The page cannot be written, and the block has not raised.

    Examples:
        >>> from distribute_challenge import compute_this, report
        >>> square = compute_this(lambda x: x * x, backend="threads")
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with report(f"{folder}/study.html") as page:
        ...         values = list(square.map([1, 2, 3]))
        ...     "3 calls of 1 function" in page.read_text()
        True
    """
    with folded:
        file = Path(path).absolute()
        if file.is_dir():
            raise OptionError(f"report({str(path)!r}): this is a folder; expected a file in it")
        if not file.parent.is_dir():
            raise OptionError(
                f"report({str(path)!r}): the folder {file.parent} does not exist; make it first"
            )
        return _Report(file, file.stem if title is None else title)


class _Report:
    """The context manager that `report` returns."""

    def __init__(self, path: Path, title: str) -> None:
        self._path = path
        self._title = title
        self._process = 0
        self._study: Study | None = None
        self._block = ExitStack()

    def __enter__(self) -> Path:
        self._process = os.getpid()
        self._study = Study()
        self._block.enter_context(recording(self._study))
        return self._path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block.close()
        study, self._study = self._study, None
        assert study is not None  # The block has begun.
        if os.getpid() != self._process:
            return  # In the child of a fork, the page is the parent's.
        study.close()
        try:
            self._write(study_page(study, self._title, error))
        except OSError as failure:
            if error is None:
                raise
            add_note(error, f"The report {self._path} cannot be written: {failure}")

    def _write(self, text: str) -> None:
        # A reader sees the page before or this one, and no half of one.
        new = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            new.write_text(text, encoding="utf-8", errors="backslashreplace")
            new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)
