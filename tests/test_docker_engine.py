"""Without Docker, tests with containers are skipped, and fail in CI; seen in a run of pytest."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import docker_engine
from tests.docker_engine import CHECKOUT
from tests.processes import environment

pytestmark = pytest.mark.slow

TEST = "tests/test_compose_configuration.py::test_the_file_says_what_a_cluster_needs"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs, an empty one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, source: str) -> None:
    (folder / "docker").write_text(f"#!/bin/sh\n{source}\n")
    (folder / "docker").chmod(0o755)


def missing() -> str | None:
    return docker_engine.what_is_missing.__wrapped__()


def test_without_a_docker_command_no_program_is_run(path: Path) -> None:
    assert "needs a Docker engine that answers: " in str(missing())
    assert list(path.iterdir()) == []


@pytest.mark.parametrize(
    "source", ["echo Cannot connect >&2; exit 1", "echo; echo Cannot connect >&2"]
)
def test_an_engine_that_does_not_answer_counts_as_missing(path: Path, source: str) -> None:
    """The Docker client may call that a success."""
    program(path, source)
    assert missing() == "needs a Docker engine that answers: Cannot connect"


def test_docker_compose_version_2_is_required(path: Path) -> None:
    program(path, '[ "$1" = info ] && echo 20.10')
    assert missing() == "needs Docker Compose, version 2 or newer: no answer"
    program(path, "echo 2.26")
    assert missing() is None


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_a_test_that_needs_docker_is_skipped_without_it_and_fails_in_ci(
    path: Path, ci: str, outcome: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--no-cov", TEST],
        cwd=CHECKOUT,
        env=environment(PATH=str(path), CI=ci),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome in done.stdout, done.stdout + done.stderr
    assert "needs a Docker engine that answers" in done.stdout
