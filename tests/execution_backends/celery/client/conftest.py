"""A connection of a test to the Redis of its client."""

from collections.abc import Iterator

import pytest

from distribute_challenge.execution_backends.celery.broker.connection import Broker, connect
from tests.execution_backends.celery.conftest import Server


@pytest.fixture
def connection(server: Server) -> Iterator[Broker]:
    with connect(server.url) as connection:
        yield connection
