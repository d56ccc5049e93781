"""A real cluster with two processes, and what shows it."""

from collections.abc import Iterator

import pytest

from distribute_challenge import LocalCluster
from distribute_challenge.dashboard.collector import Collector


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(workers=2) as started:
        yield started


@pytest.fixture
def collector(cluster: LocalCluster) -> Iterator[Collector]:
    made = Collector(cluster.broker_url)
    yield made
    made.close()
