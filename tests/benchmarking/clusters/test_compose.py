"""The life of a Compose cluster, with a fake Docker; `test_compose_containers` has a real one."""

import logging
import os
import socket
import sys
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters import compose
from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.security import Keyring, keyring_for
from distribute_challenge.settings import masked
from tests.benchmarking.clusters.fakes import FakeDocker, identity
from tests.processes import mentioning

pytestmark = pytest.mark.usefixtures("here")


def commands(docker: FakeDocker) -> list[str]:
    """What Compose was told, without what stands before each command."""
    return [
        call.partition("--project-name ")[2].partition(" ")[2]
        for call in docker.calls
        if "--project-name" in call
    ]


@pytest.mark.slow
def test_a_compose_cluster_starts_scales_reports_usage_and_stops(
    cluster: ComposeCluster, docker: FakeDocker, port: int, tmp_path: Path
) -> None:
    assert masked(cluster.broker_url) == f"redis://:***@127.0.0.1:{port}/0"
    docker.set(
        "on-build", 'echo "image of Python $PYTHON_VERSION, $WORKER_PROCESSES, $WORKER_STOP_PERIOD"'
    )
    with cluster:
        log = (tmp_path / "output" / "run" / "build.log").read_text()
        assert log == f"image of Python {'.'.join(map(str, sys.version_info[:2]))}, 1, 41s\n"
        cluster.check()
        cluster.scale(3)
        assert docker.names("containers") == ["redis-1", "worker-1", "worker-2", "worker-3"]
        cluster.check()
        docker.readings.update({"redis-1": 5.0, "worker-2": 4.0})
        usage = cluster.usage()
        assert sorted(usage) == ["redis", "worker-2"]  # The others are about to go, say.
        assert usage["redis"].memory == 4_000
        assert usage["redis"].cpu == pytest.approx(0.5, abs=0.01)
        assert cluster.label(f"worker@{identity('worker-3')[:12]}/17") == "worker-3"
        assert cluster.label("worker@elsewhere/17") == "elsewhere"
        versions = cluster.versions()
        assert versions == {
            "docker": "99.1",
            "compose": "2.99.1",
            "worker_python": "3.99.1",
            "redis": versions["redis"],
        }
        assert versions["redis"].count(".") == 2
    cluster.stop()
    assert docker.names("containers") == []
    up = "up --detach --no-build --no-deps"
    assert commands(docker) == [
        "build worker",
        f"{up} redis",
        f"{up} --no-recreate --scale worker=3 worker",
        "run --rm --no-deps -T --entrypoint python worker --version",
        "down --volumes --remove-orphans --timeout 3",
    ]


def test_each_compose_cluster_has_new_keys_and_sets_the_secret_only_while_it_runs(
    cluster: ComposeCluster, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The user's keys for another cluster do not matter, and nothing that is written shows any."""
    for name in ("DISTRIBUTE_CHALLENGE_SECRET", "REDIS_PASSWORD"):
        monkeypatch.setenv(name, "the user's")
    docker.set("on-build", 'printf "%s" "$DISTRIBUTE_CHALLENGE_SECRET" > "$here/secret"')
    docker.set("on-up", 'printf "%s" "$REDIS_PASSWORD" > "$here/password"')
    keys = set()
    for _ in range(2):
        with ComposeCluster(
            ComposeProject.find(), DockerEngine.connect(), output=tmp_path, longest_call=1.0
        ) as cluster:
            secret, password = (
                (docker.folder / name).read_text() for name in ("secret", "password")
            )
            assert os.environ["DISTRIBUTE_CHALLENGE_SECRET"] == secret
            assert Keyring(secret).identity == keyring_for(cluster.broker_url).identity
            assert f":{password}@" in cluster.broker_url
            assert mentioning(secret) == mentioning(password) == {}
        assert os.environ["DISTRIBUTE_CHALLENGE_SECRET"] == "the user's"
        written = "".join(path.read_text() for path in tmp_path.glob("*.log"))
        assert secret not in written
        assert password not in written
        keys |= {secret, password}
    assert len(keys) == 4


def test_a_redis_with_another_password_is_an_error_that_names_the_variable(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    docker.set("on-up", "REDIS_PASSWORD=another")
    with (
        pytest.raises(ClusterStartError, match="give it what the variable REDIS_PASSWORD holds"),
        cluster,
    ):
        pass


def test_the_worker_python_version_is_unknown_if_the_image_does_not_report_it(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    docker.set("on-run", "exit")
    cluster.start()
    assert cluster.versions()["worker_python"] == "unknown"


def test_stopping_a_cluster_that_was_not_started_runs_no_docker_command(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    cluster.stop()
    assert commands(docker) == []


def test_a_verbose_cluster_shows_the_output_of_the_image_build(
    docker: FakeDocker, port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    docker.set("on-build", "echo step one")
    parts = ComposeProject.find(), DockerEngine.connect()
    with ComposeCluster(*parts, output=Path("out"), longest_call=1.0, verbose=True):
        assert capfd.readouterr().err == "step one\n"


def test_a_build_that_fails_is_an_error_with_its_last_lines(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    docker.set("on-build", "seq 100; echo no such package >&2; exit 17")
    with pytest.raises(ClusterStartError) as caught:
        cluster.start()
    first, *lines = str(caught.value).splitlines()
    assert first == "docker compose build worker failed (exit code 17); its last lines:"
    assert [line.strip() for line in lines] == [*map(str, range(82, 101)), "no such package"]


@pytest.mark.parametrize(
    ("holder", "message"),
    [
        pytest.param(
            None,
            r"a program of this machine, perhaps another Redis\nStop it \(lsof -i :\d+ names it\)",
            id="?",
        ),
        pytest.param(
            "app-redis-1",
            r"the container app-redis-1\nStop it \(docker stop app-redis-1\)",
            id="container",
        ),
    ],
)
def test_a_port_that_is_taken_is_an_error_before_anything_is_built(
    holder: str | None, message: str, cluster: ComposeCluster, docker: FakeDocker, port: int
) -> None:
    docker.publisher = holder
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ClusterStartError) as caught:
        cluster.start()
    assert caught.match(
        rf"^port {port} is taken by {message}, or take another port: REDIS_PORT={port + 1}$"
    )
    assert commands(docker) == []


@pytest.mark.parametrize(
    "words",
    [
        "Error: Bind for 127.0.0.1:6379 failed: port is already allocated",
        "Error: listen tcp4 127.0.0.1:6379: bind: address already in use",
        "Error: Ports are not available: exposing port TCP 127.0.0.1:6379",
    ],
)
def test_a_taken_port_reported_by_compose_raises_the_error_for_a_taken_port(
    words: str, cluster: ComposeCluster, docker: FakeDocker, port: int
) -> None:
    docker.set("on-up", f'echo "{words}" >&2; exit 1')
    with pytest.raises(ClusterStartError, match=f"port {port} is taken by"):
        cluster.start()


def test_a_compose_command_that_times_out_is_ended_and_named_in_the_error(
    cluster: ComposeCluster, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose, "UP_WITHIN", 0.3)
    docker.set("on-up", "echo pulling; exec sleep 1000")
    with (
        pytest.raises(
            ClusterStartError,
            match=r"(?s)compose up .* redis did not end within 0\.3 s.*\n    pulling",
        ),
        cluster,
    ):
        pass  # It does not come so far.


def test_workers_use_an_image_of_the_benchmark_unless_a_variable_names_another(
    cluster: ComposeCluster,
    docker: FakeDocker,
    port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker.set("on-build", 'echo "$WORKER_IMAGE"')
    log = tmp_path / "output" / "run" / "build.log"
    with cluster:
        assert log.read_text().startswith("distribute_challenge-benchmark:py3.")
    monkeypatch.setenv("WORKER_IMAGE", "registry/mine:1")
    output = tmp_path / "output" / "run"
    with ComposeCluster(
        ComposeProject.find(), DockerEngine.connect(), output=output, longest_call=1.0
    ):
        assert log.read_text() == "registry/mine:1\n"


def test_a_redis_that_ends_or_does_not_answer_is_an_error(
    cluster: ComposeCluster, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.set("on-up", 'echo exited > "$here/containers/redis-1"; exit')
    with pytest.raises(ClusterStartError, match=r"redis has ended; .*\n    first of redis-1"):
        cluster.start()
    cluster.stop()
    monkeypatch.setattr(compose, "ANSWER_WITHIN", 0.1)
    docker.set("on-up", 'echo running > "$here/containers/redis-1"; exit')
    with pytest.raises(
        ClusterStartError,
        match=r"redis runs, but does not answer at redis://:\*\*\*@127\S+ within 0\.1 s",
    ):
        cluster.start()


def test_start_first_removes_containers_left_by_a_killed_benchmark(
    cluster: ComposeCluster, docker: FakeDocker, caplog: pytest.LogCaptureFixture
) -> None:
    (docker.folder / "containers" / "worker-7").write_text("running")
    with caplog.at_level(logging.WARNING, logger="distribute_challenge"):
        cluster.start()
    assert "removing what an earlier benchmark that was killed has left: worker-7" in caplog.text
    assert docker.names("containers") == ["redis-1"]
    assert commands(docker)[:2] == ["down --volumes --remove-orphans --timeout 3", "build worker"]


def test_a_second_cluster_at_the_same_port_is_refused(
    cluster: ComposeCluster, docker: FakeDocker, tmp_path: Path
) -> None:
    other = ComposeCluster(
        ComposeProject.find(), DockerEngine.connect(), output=tmp_path, longest_call=1.0
    )
    cluster.start()
    with (
        pytest.raises(ClusterStartError, match=rf"another benchmark \(process {os.getpid()}\)"),
        other,
    ):
        pass
    cluster.check()  # It has been left alone.
