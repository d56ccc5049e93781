"""Fixtures of the tests of executors."""

from collections.abc import Iterator

import pytest

from distribute_challenge.execution_backends import sized


@pytest.fixture(scope="module", autouse=True)
def nothing_unused() -> Iterator[None]:
    yield
    sized.close_unused()
