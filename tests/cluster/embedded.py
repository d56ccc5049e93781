"""What tests of the embedded cluster share: marks, a script, and process numbers."""

from pathlib import Path

import pytest

from distribute_challenge import LocalCluster
from distribute_challenge.cluster import supervisor
from tests.processes import mentioning, parent

# Of what is killed nothing is saved; what else runs in these tests is measured in others.
unmeasured = pytest.mark.usefixtures("unmeasured")
linux_only = pytest.mark.skipif(not supervisor.LINUX, reason="the kernel does not offer it")


def folder_of(cluster: LocalCluster) -> Path:
    return Path(cluster.broker_url.removeprefix("redis+socket://")).parent


def supervisor_of(folder: Path) -> int:
    return next(pid for pid, line in mentioning(folder.name).items() if "supervisor.py" in line)


def child_of(folder: Path, name: str) -> int:
    """Number of the server or of the worker's main process."""
    above = supervisor_of(folder)
    return next(
        pid
        for pid, line in mentioning(folder.name).items()
        if name in line and parent(pid) == above
    )


SQUARE = """
    import os
    from distribute_challenge import compute_this

    @compute_this
    def square(x):
        return x * x
"""
