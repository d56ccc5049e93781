"""The command as it is installed."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from distribute_challenge.cli import main


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "distribute_challenge"],
        [str(Path(sys.executable).with_name("distribute-challenge"))],
    ],
    ids=["module", "script"],
)
def test_the_command_tells_its_version(command: list[str]) -> None:
    done = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == f"distribute-challenge, version {version('distribute_challenge')}\n"


@pytest.mark.parametrize("arguments", [["-h"], ["--help"]])
def test_the_help_names_all_commands(arguments: list[str]) -> None:
    output = CliRunner().invoke(main, arguments).output
    lines = output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == [
        *("cluster", "dashboard", "ping", "secret", "status", "top", "worker")
    ]
    assert all(
        line.endswith(".") and not line.endswith("...") for line in lines
    )  # Whole sentences.


@pytest.mark.parametrize(
    "arguments",
    [["cluster"], ["worker", "--broker", "redis+socket:///x"], ["secret", "--env", "x"]],
)
def test_an_invalid_number_of_workers_in_the_environment_is_an_error_message(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "two")
    monkeypatch.setattr(
        "distribute_challenge.execution_backends.celery.broker.connection.check_reachable",
        lambda _: None,
    )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert done.output.startswith(
        "Error: DISTRIBUTE_CHALLENGE_WORKERS='two' is not a number of worker processes"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["cluster", "ping", "secret", "status", "worker"])
def test_each_command_has_a_help_page(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: main {command} [OPTIONS]")


def test_importing_the_module_behind_the_command_runs_nothing() -> None:
    import distribute_challenge.__main__ as module

    assert module.main is main
