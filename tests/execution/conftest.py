"""Fixtures of the tests of calls in a batch."""

import pytest

from distribute_challenge.execution import run as execution


@pytest.fixture
def one_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes of fast calls travel together, also where a busy machine makes them slow."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", 60.0)
