"""The end of a Compose cluster, with a fake Docker: nothing of it is left."""

import os
import signal
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from tests.benchmarking.clusters.fakes import FakeDocker
from tests.processes import AFTER_CTRL_C, mentioning, script, wait_until

pytestmark = pytest.mark.usefixtures("here")


def test_stop_removes_containers_that_docker_compose_down_leaves(
    cluster: ComposeCluster, docker: FakeDocker
) -> None:
    docker.set("on-down", "exit 1")
    cluster.start()
    cluster.scale(2)
    os.kill(int((docker.folder / "redis.pid").read_text()), signal.SIGTERM)
    cluster.stop()
    assert docker.names("containers") == []


def test_a_failed_removal_is_logged_with_the_command_to_run(
    cluster: ComposeCluster, docker: FakeDocker, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The cluster raises nothing, as there is mostly another error already."""
    cluster.start()
    command = f"docker compose --project-name distribute_challenge_load_{port} down --volumes"
    for path, body, words in (
        ("/volumes", b'{"Volumes": [{"Name": "sticky"}]}', "it does not go"),
        ("/", b'{"message": "no luck"}', "the Docker engine failed: no luck"),
    ):
        caplog.clear()
        docker.breaks = {path: (200 if "Volumes" in body.decode() else 500, body)}
        cluster.stop()
        assert words in caplog.text
        assert command in caplog.text
        docker.breaks = {}
        cluster.start()


INTERRUPTED = """
    import logging, sys
    from pathlib import Path
    from distribute_challenge.benchmarking.clusters.choice import choose

    logging.basicConfig()
    cluster, _ = choose("compose", output=Path("out"), longest_call=1.0)
    with cluster:
        cluster.scale(1)
        print("up", flush=True)
        cluster.scale(2)
"""

WAITING = 'echo {0} begun; touch "$here/{0}"; while [ ! -e "$here/go" ]; do sleep 0.01; done'


@pytest.mark.slow
@pytest.mark.parametrize("command", ["build", "up"])
def test_ctrl_c_during_start_and_again_during_take_down_leaves_nothing(
    command: str, docker: FakeDocker, port: int, tmp_path: Path
) -> None:
    docker.set(f"on-{command}", WAITING.format(command))
    docker.set("on-down", WAITING.format("down"))
    with script(INTERRUPTED, tmp_path, TMPDIR=str(tmp_path)) as program:
        wait_until((docker.folder / command).exists)
        program.send(signal.SIGINT)
        wait_until((docker.folder / "down").exists)
        program.send(signal.SIGINT)
        program.wait_for("the cluster is being taken down: a few more seconds")
        (docker.folder / "go").touch()
        assert program.wait() in AFTER_CTRL_C
    assert [docker.names(kind) for kind in ("containers", "networks", "volumes")] == [[], [], []]
    assert mentioning(str(docker.folder)) == {}
