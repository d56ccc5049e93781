"""Fixtures of the embedded cluster's tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder with a name short enough for a socket in it. pytest's may be too long."""
    folder = Path(tempfile.mkdtemp(prefix="dc", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clusters end as those of users do."""
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_PATIENCE", "0")


@pytest.fixture
def one_worker(unmeasured: None) -> Iterator[LocalCluster]:
    with LocalCluster(workers=1) as cluster:
        yield cluster
