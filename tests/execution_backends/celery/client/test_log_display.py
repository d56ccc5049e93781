"""Lines of calls on this process's own streams, loggers and warnings."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from distribute_challenge.core.log_lines import LogLine, Stream
from distribute_challenge.execution_backends.celery.client.log_display import LogDisplay, Printout

SOURCE = "square@worker-1"


def line(text: str, stream: Stream = "stdout", **facts: Any) -> tuple[LogLine, dict[str, Any]]:
    return LogLine(stream, text, 1.25), facts


def record(text: str, level: int = logging.WARNING, name: str = "a.logger", **facts: Any) -> Any:
    usual = {
        "path": "/a/file.py",
        "line": 3,
        "function": "f",
        "thread": "T",
        "process": 7,
        "trace": "",
        "stack": "",
    }
    return line(
        text,
        "logging",
        name=name,
        level=level,
        level_name=logging.getLevelName(level),
        **{**usual, **facts},
    )


def warned(text: str, *categories: str, path: str = "/a/file.py", number: int = 3) -> Any:
    return line(
        text, "warning", categories=categories or ["builtins:UserWarning"], path=path, line=number
    )


def show(*lines: Any, display: LogDisplay | None = None, **options: Any) -> None:
    (display or LogDisplay()).show(Printout(SOURCE, list(lines), **options))


@contextlib.contextmanager
def default_filters() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        yield caught


def test_each_line_is_shown_with_its_source_on_the_stream_it_was_written_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It goes to what `sys.stdout` and `sys.stderr` are now."""
    show(
        line("one\ntwo"),
        line("three"),
        line("oops", "stderr"),
        line("left out", "notice"),
        line("four"),
    )
    shown = capsys.readouterr()
    assert shown.out == "".join(f"{SOURCE} │ {text}\n" for text in ("one", "two", "three", "four"))
    assert shown.err == "".join(f"{SOURCE} │ {text}\n" for text in ("oops", "left out"))


def test_characters_that_a_stream_cannot_encode_are_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    show(line("häppy"))
    assert written.getvalue() == f"{SOURCE} | h\\xe4ppy\n".encode()


def test_lines_for_a_missing_or_broken_stream_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none, it is closed, or nothing reads it.

    What comes in their place later gets the later lines.
    """
    display = LogDisplay()
    monkeypatch.setattr(sys, "stdout", None)
    show(line("nowhere"), display=display)
    read, write = os.pipe()
    os.close(read)
    broken = os.fdopen(write, "w")
    monkeypatch.setattr(sys, "stdout", broken)
    show(line("lost"), display=display)
    show(line("x" * 100_000), display=display)
    with contextlib.suppress(BrokenPipeError):
        broken.close()  # Had it taken more, this would have more to write.
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    show(line("lost"), display=display)
    monkeypatch.setattr(sys, "stdout", later := io.StringIO())
    show(line("there"), display=display)
    assert later.getvalue() == f"{SOURCE} │ there\n"


def test_records_go_to_the_loggers_of_the_same_name(caplog: pytest.LogCaptureFixture) -> None:
    """They go there from this process's level on, with all that they had and their source."""
    trace = "Traceback (most recent call last):\nZeroDivisionError: 1/0"
    with caplog.at_level(logging.INFO, logger="a"):
        show(
            record("quiet", logging.DEBUG),
            record("said", logging.INFO),
            record("bad", logging.ERROR, trace=trace),
        )
    said, bad = caplog.records
    assert (said.name, said.getMessage(), said.levelname, said.created) == (
        "a.logger",
        "said",
        "INFO",
        1.25,
    )
    assert (said.processName, said.pathname, said.lineno, said.funcName) == (
        SOURCE,
        "/a/file.py",
        3,
        "f",
    )
    assert logging.Formatter().format(bad) == f"bad\n{trace}"


def test_without_logging_configuration_warnings_and_errors_are_shown_as_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself does the same."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    show(
        line("before", "stderr"),
        record("quiet", logging.INFO),
        record("said\ntwice"),
        line("after", "stderr"),
    )
    texts = ["before", "WARNING:a.logger:said", "twice", "after"]
    assert capsys.readouterr().err == "".join(f"{SOURCE} │ {text}\n" for text in texts)
    monkeypatch.setattr(logging.getLogger("a"), "level", logging.DEBUG)
    show(record("still quiet", logging.INFO))
    monkeypatch.setattr(logging, "lastResort", None)
    show(record("quiet, too", logging.ERROR))
    assert capsys.readouterr().err == ""


def test_a_warning_is_shown_once_for_each_place() -> None:
    """Each worker process has shown it."""
    display = LogDisplay()
    with default_filters() as caught:
        for _ in range(3):
            show(
                warned("old"),
                warned("old", number=4),
                warned("old", path="/b/file.py"),
                display=display,
            )
    assert [(each.filename, each.lineno, str(each.message)) for each in caught] == [
        ("/a/file.py", 3, "old"),
        ("/a/file.py", 4, "old"),
        ("/b/file.py", 3, "old"),
    ]


class OwnWarning(RuntimeWarning):
    pass


def test_a_warning_has_its_own_class_or_the_nearest_known_base_class() -> None:
    names = [f"{__name__}:OwnWarning", "builtins:RuntimeWarning", "builtins:Warning"]
    cases = [names, ["not.there:Any", f"{__name__}:Not.There", *names[1:]], ["builtins:int"]]
    for categories, expected in zip(cases, (OwnWarning, RuntimeWarning, UserWarning), strict=True):
        with default_filters() as caught:
            show(warned("old", *categories))
        assert [each.category for each in caught] == [expected]


def test_warnings_of_calls_pass_the_warning_filters_of_this_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They decide by module, too. ``__main__`` is the script, typed code or a notebook's cell."""
    typed = warned("typed", path="<stdin>"), warned("typed", path="/tmp/ipykernel_12/34.py")
    with default_filters() as caught:
        warnings.filterwarnings("ignore", module=__name__)
        show(warned("ignored", path=__file__), *typed)
        warnings.filterwarnings("ignore", module="__main__")
        show(*typed)
        warnings.simplefilter("error")
        show(warned("an error"))
    assert [str(each.message) for each in caught] == ["typed", "typed"]
    assert capsys.readouterr().err == f"{SOURCE} │ /a/file.py:3: UserWarning: an error\n"


def test_lines_are_shown_in_the_context_of_their_call(capsys: pytest.CaptureFixture[str]) -> None:
    """Notebooks find the cell by the context."""
    cell: ContextVar[str] = ContextVar("cell", default="none")
    token = cell.set("first")
    context = copy_context()
    cell.reset(token)
    seen: list[str] = []

    class Notebook(io.StringIO):
        def write(self, text: str) -> int:
            seen.append(cell.get())
            return len(text)

    with contextlib.redirect_stdout(Notebook()):
        show(line("a"), context=context)
        show(line("b"))
    assert seen == ["first", "none"]
