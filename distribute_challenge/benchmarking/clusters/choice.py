"""Chooses the cluster to measure."""

import os
from pathlib import Path

from distribute_challenge.benchmarking.clusters.base import Cluster
from distribute_challenge.benchmarking.clusters.compose import ComposeCluster
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.benchmarking.clusters.local import LocalWorkers
from distribute_challenge.errors import ClusterStartError, OptionError

__all__ = ["KINDS", "choose"]

KINDS = ("auto", "compose", "local")


def choose(
    kind: str, *, output: Path, longest_call: float, verbose: bool = False
) -> tuple[Cluster, str]:
    """Find a cluster, without starting it.

    Args:
        kind: ``"compose"``, ``"local"``, or ``"auto"`` for the first of the two that this machine
            has.
        output: Folder for the cluster's logs.
        longest_call: Seconds that one call may take.
        verbose: Whether to show on standard error how the cluster starts.

    Returns:
        The cluster, and one line that tells the user which cluster it is, and why.

    Raises:
        OptionError: There is no such kind.
        BackendError: A package of the extra ``benchmarking`` is not installed.
        ClusterStartError: What ``"compose"`` needs is missing, or Compose cannot use its file.
    """
    if kind not in KINDS:
        raise OptionError(f"cluster {kind!r}: expected one of {', '.join(KINDS)}")
    if kind == "local":
        return _local("")
    try:
        project, engine = ComposeProject.find(), DockerEngine.connect()
    except ClusterStartError as error:
        if kind == "auto":
            return _local(f", because {str(error).splitlines()[0]}")
        raise ClusterStartError(f"{error}\nWithout Docker it goes with: --cluster local") from None
    try:
        cluster = ComposeCluster(
            project, engine, output=output, longest_call=longest_call, verbose=verbose
        )
    except ClusterStartError:
        engine.close()
        raise
    return cluster, f"cluster: Docker Compose {project.version}, engine {engine.version}"


def _local(why: str) -> tuple[Cluster, str]:
    cores = os.cpu_count() or 1
    return LocalWorkers(), f"cluster: embedded, {cores} core{'s' * (cores > 1)}{why}"
