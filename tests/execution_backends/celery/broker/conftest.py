"""Fixtures of the tests of what lies in Redis."""

import pytest

from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.detached import DetachedRecords
from tests.execution_backends.celery.conftest import Server


@pytest.fixture
def records(server: Server, monkeypatch: pytest.MonkeyPatch) -> DetachedRecords:
    monkeypatch.setattr(detached, "APART", -1)
    return DetachedRecords(connect(server.url))
