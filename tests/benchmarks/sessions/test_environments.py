"""Environments of peers whose requirements clash."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.sessions import environments
from benchmarks.sessions.environments import InstallationError, default_folder, python_with

pytestmark = pytest.mark.slow


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(environments, "_run", commands.append)
    first = python_with("arq", ["arq"], tmp_path)
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert python_with("arq", ["arq"], tmp_path) == first
    assert len(commands) == 2
    assert python_with("arq", ["arq", "numpy"], tmp_path) != first


def test_an_environment_that_was_not_finished_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = environments._run

    def fail(command: Sequence[str]) -> None:
        run(
            [
                sys.executable,
                "-c",
                "print('ERROR: none matches'); print('a hint'); raise SystemExit(1)",
            ]
        )

    monkeypatch.setattr(environments, "_run", fail)
    for _ in range(2):
        with pytest.raises(InstallationError, match=r"^ERROR: none matches$"):
            python_with("arq", ["arq"], tmp_path)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(
            [sys.executable, "-c", "raise SystemExit(4)"], "exit code 4", id="without a word"
        ),
        pytest.param(["no-such-program"], "no-such-program", id="no such program"),
    ],
)
def test_an_installation_error_has_the_reason_or_the_exit_code(
    command: Sequence[str], said: str
) -> None:
    with pytest.raises(InstallationError, match=said):
        environments._run(command)


def test_an_installation_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "INSTALL_DEADLINE", 0.05)
    with pytest.raises(InstallationError, match="timed out") as caught:
        environments._run([sys.executable, "-c", "import threading; threading.Event().wait()"])
    assert isinstance(caught.value.__cause__, subprocess.TimeoutExpired)


def test_environments_are_kept_in_the_cache_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "distribute_challenge" / "peers"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_folder().parts[-4:-2] == ("Library", "Caches")
