"""The command as it is installed."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from distribute_challenge.cli import main


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-m", "distribute_challenge"], [str(Path(sys.executable).with_name("distribute-challenge"))]],
    ids=["module", "script"],
)
def test_the_command_tells_its_version(command: list[str]) -> None:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == f"distribute-challenge, version {version('distribute_challenge')}\n"


@pytest.mark.parametrize("arguments", [["-h"], ["--help"]])
def test_the_help_names_all_commands(arguments: list[str]) -> None:
    output = CliRunner().invoke(main, arguments).output
    assert [line.split()[0] for line in output.partition("Commands:\n")[2].splitlines()] == [
        "cluster",
        "ping",
        "secret",
        "status",
        "worker",
    ]


@pytest.mark.parametrize("command", ["cluster", "ping", "secret", "status", "worker"])
def test_each_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: main {command} [OPTIONS]")


def test_importing_the_module_behind_the_command_runs_nothing() -> None:
    import distribute_challenge.__main__ as module

    assert module.main is main
