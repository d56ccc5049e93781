"""Clusters of real containers that do not come up, or are interrupted: messages and leftovers."""

import logging
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters import compose
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.errors import ClusterStartError
from tests.benchmarking.clusters.containers import new_cluster
from tests.docker_engine import CHECKOUT
from tests.processes import AFTER_CTRL_C, PATIENCE, mentioning, script, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

PYTHON = ".".join(map(str, sys.version_info[:2]))

# --- starts that fail


def test_a_worker_that_dies_at_its_start_is_an_error_with_its_last_lines(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    override = tmp_path / "override.yml"
    override.write_text("services: {worker: {command: [sh, -c, echo broken on purpose; exit 3]}}")
    monkeypatch.setenv("COMPOSE_FILE", f"{CHECKOUT / 'docker-compose.yml'}{os.pathsep}{override}")
    broken = new_cluster(tmp_path)
    caught = []

    def failed() -> bool:
        try:
            broken.check()
        except ClusterStartError as error:
            caught.append(str(error))
        return bool(caught)

    with broken:
        broken.scale(2)
        wait_until(failed, "a failed check")
    first, *lines = caught[0].splitlines()
    assert "dies again and again" in first
    assert "(exit code 3); its last lines:" in first
    assert set(lines) == {"    broken on purpose"}


BROKEN = f"""
FROM python:{PYTHON}-slim
RUN echo no such package >&2; exit 17
"""

ENDLESS = f"""
FROM python:{PYTHON}-slim
RUN echo building; sleep 123456
"""

FILE = """
services:
  redis: {image: "redis:7", ports: ["127.0.0.1:${REDIS_PORT}:6379"]}
  worker: {build: "."}
"""


def other_file(folder: Path, dockerfile: str) -> str:
    (folder / "docker-compose.yml").write_text(FILE)
    (folder / "Dockerfile").write_text(dockerfile)
    return str(folder / "docker-compose.yml")


def test_an_image_that_cannot_be_built_is_an_error_with_the_last_lines(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMPOSE_FILE", other_file(tmp_path, BROKEN))
    cluster = new_cluster(tmp_path, verbose=True)
    with (
        pytest.raises(
            ClusterStartError,
            match=r"build worker failed \(exit code \d+\)(.*\n)*.*no such package",
        ),
        cluster,
    ):
        pass
    assert "no such package" in (tmp_path / "build.log").read_text()
    assert "no such package" in capfd.readouterr().err


def test_the_error_for_a_port_used_by_another_container_names_that_container(
    place: int, engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ComposeProject.find()
    project.name = name = f"distribute_challenge_other_{place}"
    try:
        assert (
            project.start("up", "--detach", "redis", output=tmp_path / "log").wait(within=PATIENCE)
            == 0
        )
        with (
            pytest.raises(
                ClusterStartError, match=f"taken by the container {name}-redis-1\nStop it"
            ),
            new_cluster(tmp_path),
        ):
            pass
        # The engine's own words, where it is the first to notice.
        monkeypatch.setattr(compose, "_listens", lambda port: False)
        with (
            pytest.raises(
                ClusterStartError, match=f"taken by the container {name}-redis-1\nStop it"
            ),
            new_cluster(tmp_path),
        ):
            pass
    finally:
        project.start("down", "--volumes", "--timeout", "3", output=tmp_path / "log").wait(
            within=PATIENCE
        )
    assert engine.left_of(name) == []


def test_the_error_for_a_port_used_by_a_program_says_that_a_program_has_it(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seen_first in (True, False):
        if not seen_first:
            monkeypatch.setattr(compose, "_listens", lambda port: False)
        with (
            socket.create_server(("127.0.0.1", place)),
            pytest.raises(ClusterStartError, match="taken by a program of this machine"),
            new_cluster(tmp_path),
        ):
            pass


# --- interruptions

BUILT_WITHIN = 5 * PATIENCE  # Seconds: its image is built when no other process builds one.

RUN = f"""
    import logging, sys
    from pathlib import Path
    sys.path.append({str(CHECKOUT)!r})
    from tests.benchmarking.clusters.containers import new_cluster

    logging.basicConfig()
    with new_cluster(Path(sys.argv[1]), longest_call=1.0) as cluster:
        print("up", flush=True)
        cluster.scale(4)
        print("scaled", flush=True)
        input()
"""


def test_a_new_cluster_removes_containers_left_by_a_killed_one(
    place: int, engine: DockerEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its last command may still be making containers."""
    with script(RUN, tmp_path, str(tmp_path / "killed")) as program:
        program.wait_for("up\n", within=BUILT_WITHIN)
        program.send(signal.SIGKILL)
        program.wait()
    with (
        caplog.at_level(logging.WARNING, logger="distribute_challenge"),
        new_cluster(tmp_path) as cluster,
    ):
        cluster.check()
        assert [container.name for container in cluster._watch.look()] == ["redis"]
    assert "removing what an earlier benchmark that was killed has left" in caplog.text


def test_ctrl_c_while_the_image_is_built_leaves_nothing(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSE_FILE", other_file(tmp_path, ENDLESS))
    log = tmp_path / "out" / "build.log"
    with script(RUN, tmp_path, str(log.parent)) as program:
        wait_until(
            lambda: log.exists() and "building\n" in log.read_text().replace("echo building", ""),
            "the build",
            within=BUILT_WITHIN,
        )
        program.send(signal.SIGINT)
        assert program.wait() in AFTER_CTRL_C, program.output
    wait_until(lambda: mentioning("sleep 123456") == {}, "the end of the build")


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_ctrl_c_while_the_cluster_is_scaled_leaves_nothing(
    again: bool, place: int, tmp_path: Path
) -> None:
    with script(RUN, tmp_path, str(tmp_path / "out")) as program:
        program.wait_for("up\n", within=BUILT_WITHIN)
        wait_until(lambda: mentioning("--scale worker=4"), "the order")
        program.send(signal.SIGINT)
        if again:
            wait_until(lambda: mentioning("--remove-orphans"), "the order to take it down")
            program.send(signal.SIGINT)
            program.wait_for("the cluster is being taken down")
        assert program.wait() in AFTER_CTRL_C, program.output
