"""Putting a process back as it was, where calls on the engines do not come by."""

import gc
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge.execution import process_state
from distribute_challenge.execution.process_state import ProcessState, is_spoilt


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(process_state, "_spoilt", False)
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    folder, limits = os.getcwd(), resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_quick_check_detects_most_changes_of_the_process_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = ProcessState()
    assert not state.is_changed(0.0)
    assert state.is_changed(1.0)
    gc.disable()
    try:
        assert state.is_changed(0.0)
        state.put_back()
        assert gc.isenabled()
    finally:
        gc.enable()
    assert not state.is_changed(0.0)
    monkeypatch.setattr(sys, "stdout", None)
    assert state.is_changed(0.0)


def test_a_process_without_streams_stays_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has none under `pythonw`, or if its parent has closed them."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    state = ProcessState()
    assert not state.is_changed(0.0)
    state.put_back()
    assert sys.stdout is sys.stderr is None
    assert not is_spoilt()


def test_a_descriptor_that_was_closed_before_the_call_is_not_restored(tmp_path: Path) -> None:
    """It has got it for a file of its own."""
    number = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    os.close(number)
    none = process_state._File(number)
    assert os.open(tmp_path / "file", os.O_WRONLY) == number
    none.put_back()
    os.close(number)


def test_plain_streams_that_were_closed_are_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        monkeypatch.setattr(sys, name, open(os.dup(number), "w"))  # noqa: SIM115 - a call forgets it
    with ProcessState():
        sys.stdout.close()
        sys.stderr.close()
    assert (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2)
    assert sys.stdout is sys.__stdout__


def test_the_profiler_and_the_limits_are_put_back() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ProcessState():
        sys.setprofile(lambda *_: None)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft // 2, hard))
    assert sys.getprofile() is None
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    with ProcessState():
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft // 2, hard))
        lower = ProcessState()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        lower.put_back()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_the_working_directory_is_restored_after_it_was_renamed_or_removed(tmp_path: Path) -> None:
    """It is found without a name, too."""
    (tmp_path / "first").mkdir()
    os.chdir(tmp_path / "first")
    with ProcessState() as state:
        os.chdir("/")
        (tmp_path / "first").rename(tmp_path / "second")
    assert os.getcwd() == str(tmp_path / "second")
    (tmp_path / "second").rmdir()
    os.chdir("/")
    state.put_back()
    with pytest.raises(FileNotFoundError):
        os.getcwd()
    assert not is_spoilt()


def test_a_folder_that_cannot_be_restored_marks_the_process_as_spoilt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The rest is put back all the same."""

    def refuse(*_: object) -> int:
        raise PermissionError("not allowed")

    os.chdir(tmp_path)
    with monkeypatch.context() as closed:
        closed.setattr(os, "open", refuse)
        state = ProcessState()
    os.chdir("/")
    state.put_back()
    assert os.getcwd() == str(tmp_path)
    os.chdir("/")
    gc.disable()
    try:
        with monkeypatch.context() as closed:
            closed.setattr(os, "chdir", refuse)
            state.put_back()
        assert gc.isenabled()
    finally:
        gc.enable()
    assert is_spoilt()
