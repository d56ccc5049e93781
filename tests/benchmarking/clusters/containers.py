"""Compose clusters of real containers, for tests: new ones, and what is left of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.security import new_secret
from tests.docker_engine import CHECKOUT, build, docker, free_port
from tests.processes import PATIENCE, mentioning

# Not the user's, which may have other packages in it.
IMAGE = f"distribute_challenge_test_load_{os.getpid()}:worker"


class _Cluster(ComposeCluster):
    """A cluster whose images are built while no other process of the test run builds them."""

    def _run(self, *arguments: str, output: Path | None = None) -> str:
        run = partial(super()._run, *arguments, output=output)
        return build(run) if arguments[0] == "build" else run()


def new_cluster(
    output: Path, *, longest_call: float = PATIENCE, verbose: bool = False
) -> ComposeCluster:
    parts = ComposeProject.find(), DockerEngine.connect()
    return _Cluster(*parts, output=output, longest_call=longest_call, verbose=verbose)


@contextmanager
def free_place() -> Iterator[int]:
    """A free port for the repository's Compose file, at which nothing is left in the end."""
    port = free_port()
    with pytest.MonkeyPatch.context() as context:
        context.setenv("REDIS_PORT", str(port))
        # For commands of Compose's that are no cluster's: a cluster makes its own.
        context.setenv("REDIS_PASSWORD", new_secret())
        context.setenv("DISTRIBUTE_CHALLENGE_SECRET", new_secret())
        context.setenv("COMPOSE_FILE", str(CHECKOUT / "docker-compose.yml"))
        context.setenv("WORKER_IMAGE", IMAGE)
        context.delenv("PACKAGES", raising=False)
        yield port
    project = f"distribute_challenge_load_{port}"
    engine = DockerEngine.connect()
    left = engine.left_of(project)
    engine.close()
    assert left == []
    assert mentioning(project) == {}


def remove_image() -> None:
    if docker("image", "ls", "--quiet", IMAGE):
        docker("image", "rm", IMAGE)
