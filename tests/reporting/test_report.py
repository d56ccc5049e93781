"""`report`: one page on all calls of a block."""

import os
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this, gather, report
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.reporting import lanes, picture, study_page
from distribute_challenge.reporting.failures import MOST_KINDS
from tests.calls import wait_for
from tests.forks import ended, fork

NO_ELEMENTS = ("meta", "link", "img")


class Page(HTMLParser):
    """A page, after a check that what is opened is closed and that it loads nothing.

    Attributes:
        words: Its texts.
        tables: The cells of each row of each table.
        hints: What bars show under the pointer.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.hints: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []
        assert not set(os.listdir(path.parent)) - {path.name, "door", "door.begun"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "b")
        for name, value in attrs:
            assert name not in ("src", "href") or (value or "").startswith("data:")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        if tag not in NO_ELEMENTS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass  # Of SVG.

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        self.words.append(data.strip())
        if self._open[-1] in ("td", "th"):
            self.tables[-1][-1].append(data)
        elif self._open[-2:] == ["path", "title"]:
            self.hints.append(data)

    def rows(self, *heads: str) -> dict[str, list[str]]:
        """The rows of the table whose first heads are given, by their first cell."""
        (found,) = [table for table in self.tables if table[0][: len(heads)] == list(heads)]
        return {first: rest for first, *rest in found[1:]}


@compute_this
def invert(x: int) -> float:
    if x == 0:
        raise ZeroDivisionError("<b>no</b>")
    return 1 / x


@compute_this
def total(numbers: Any) -> float:
    return sum(numbers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "pages").mkdir()
    return tmp_path / "pages" / "study.html"


def test_a_page_shows_functions_sizes_workers_and_failures(path: Path) -> None:
    with report(path, title="A <b>study</b>") as given:
        assert list(invert.map(range(1, 5), backend="threads"))
        assert isinstance(invert(0).submit("threads").exception(60), ZeroDivisionError)
    assert given == path
    page = Page(path)
    assert "A <b>study</b>" in page.words
    calls, failed, cancelled, *times = page.rows("function", "calls")["invert"]
    assert (calls, failed, cancelled) == ("5", "1", "0")
    assert all(time.endswith("s") for time in times)
    assert all(size.endswith(" B") for size in page.rows("function", "arguments: mean")["invert"])
    workers = page.rows("worker", "calls")
    assert sum(int(calls) for calls, *_ in workers.values()) == 5
    assert {hint.rpartition(" on ")[2] for hint in page.hints} == set(workers)
    count = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    assert f"5 calls of 1 function ended on {count}." in page.words
    assert "1 call failed." in page.words
    summary = next(word for word in page.words if word.startswith("ZeroDivisionError: "))
    assert summary.startswith("ZeroDivisionError: <b>no</b> · invert(0) on threads@")
    assert any("raise ZeroDivisionError" in word for word in page.words)


def test_a_block_without_calls_and_one_without_failures(path: Path) -> None:
    with report(path):
        pass
    page = Page(path)
    assert page.tables == []
    assert {"study", "0 calls of 0 functions ended."} <= set(page.words)
    with report(path):
        assert invert(1).compute("local") == 1
    assert "None of them failed." in Page(path).words


def test_report_blocks_may_be_nested(path: Path) -> None:
    """Each sees the calls of its own block."""
    inner = path.with_name("door")  # As `Page` knows no other file beside the page.
    with report(path):
        assert invert(1).compute("local") == 1
        with report(inner):
            assert invert(2).compute("local") == 0.5
    assert Page(path).rows("function", "calls")["invert"][0] == "2"
    assert "1 call of 1 function ended on 1 worker." in inner.read_text()


def test_a_block_that_raises_is_reported_too(path: Path) -> None:
    door = path.parent / "door"

    def study(backend: ThreadsExecutionBackend) -> None:
        with report(path):
            wait_for(str(door)).submit(backend)
            assert invert(1).submit(backend).cancel()
            raise KeyError("<b>")

    with ThreadsExecutionBackend(1) as backend:
        with pytest.raises(KeyError):
            study(backend)
        words = Page(path).words
        door.touch()
    assert "The block ended with builtins.KeyError: '<b>'" in words
    assert "1 call had not ended when the block ended." in words
    assert "1 call had been cancelled." in words


def test_a_path_that_cannot_be_written_is_refused_at_once(path: Path) -> None:
    with pytest.raises(OptionError, match="this is a folder"):
        report(path.parent)
    with pytest.raises(OptionError, match="does not exist; make it first"):
        report(path / "study.html")


def test_a_page_that_cannot_be_written_in_the_end_hides_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"), report(path):
        pass
    with pytest.raises(KeyError) as caught, report(path):
        raise KeyError
    assert caught.value.__notes__ == [f"The report {path} cannot be written: no space"]


def test_the_child_of_a_fork_writes_no_page(path: Path) -> None:
    def leave(block: Any) -> Callable[[], bool]:
        def work() -> bool:
            block.__exit__(None, None, None)
            return path.exists()

        return work

    block = report(path)
    block.__enter__()
    assert ended(fork(leave(block))) == 0
    block.__exit__(None, None, None)
    assert path.exists()


def test_many_calls_and_failures_are_summed_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_BARS", 20)
    monkeypatch.setattr(study_page, "MOST_BARS", 20)
    monkeypatch.setattr(picture, "MOST_ROWS", 0)

    @compute_this(backend="local")
    def fail(number: int) -> None:
        raise ValueError(f"{number}\nno")

    with report(path):
        for number in range(MOST_KINDS + 10):
            assert fail(number).submit().exception(60)
        assert fail(0).submit().exception(60)
    page = Page(path)
    text = "\n".join(page.words)
    assert "There were more than 20 calls: the height of a bar is the share of" in text
    assert "1 worker with less work left out." in text
    assert page.tables[-1][1] == ["fail", "ValueError", "10"]
    assert any(
        word.startswith("ValueError: 0 · fail(0)") and word.endswith(", and 1 call more")
        for word in page.words
    )


@pytest.mark.celery
@pytest.mark.slow
def test_a_study_on_a_real_cluster(path: Path) -> None:
    """Of calls, a map and a graph, with large values."""
    with LocalCluster(workers=2), report(path):
        assert gather(total([invert(2), invert(4)])) == 0.75
        assert len(list(invert.map(range(20), on_error="return"))) == 20
        large = total(bytes(2_000_000)).submit()
        assert large.result(60) == 0
    page = Page(path)
    assert page.rows("function", "calls")["invert"][:3] == ["22", "1", "0"]
    assert page.rows("function", "calls")["total"][:3] == ["2", "0", "0"]
    assert page.rows("function", "arguments: mean")["total"][1] == "2.00 MB"
    workers = page.rows("worker", "calls")
    assert sum(int(calls) for calls, *_ in workers.values()) == 24
    assert {hint.rpartition(" on ")[2] for hint in page.hints} == set(workers)
    assert any("· invert(0) on embedded@" in word for word in page.words)
