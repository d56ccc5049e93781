"""Each engine in turn, for the tests of what all of them promise."""

from collections.abc import Iterator

import pytest

from distribute_challenge import ExecutionBackend, LocalCluster
from tests.contract.engines import ENGINES, PARAMETERS, RUN_ON_SUBMIT


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    # Without a `with` block, which would make it the backend of all other tests.
    cluster = LocalCluster(workers=1).start()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module", params=PARAMETERS)
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, ExecutionBackend]]:
    with ENGINES[request.param]() as backend:
        yield request.param, backend


@pytest.fixture
def backend(engine: tuple[str, ExecutionBackend]) -> ExecutionBackend:
    return engine[1]


@pytest.fixture
def background(engine: tuple[str, ExecutionBackend]) -> ExecutionBackend:
    """An engine whose calls run while the caller goes on."""
    if engine[0] in RUN_ON_SUBMIT:
        pytest.skip("runs each call while it is submitted")
    return engine[1]
