"""Runs test suites of other libraries, from the installed packages, on this library.

A test file takes the tests of a module with `taken_from`, and lists in `LEFT_OUT` the names of those
that it leaves out, with the reason of each.
"""

from collections.abc import Iterator

import dask
import pytest
from dask.base import named_schedulers

from distribute_challenge.dask import get


def pytest_configure(config: pytest.Config) -> None:
    """Know the marks of those suites."""
    for mark in ("flaky", "gpu", "network", "skip_with_pyarrow_strings"):
        config.addinivalue_line("markers", f"{mark}: of another library's tests")


@pytest.fixture(autouse=True, scope="module")
def unmeasured(unmeasured_programs: None) -> None:
    """The package is measured by its own tests."""


@pytest.fixture(autouse=True)
def left_out(request: pytest.FixtureRequest) -> None:
    """Skip a test that the file leaves out: one of this name, or one with these parameters."""
    reasons = getattr(request.module, "LEFT_OUT", {})
    name = request.node.originalname
    if reason := reasons.get(request.node.name) or reasons.get(name):
        pytest.skip(reason)


@pytest.fixture
def dask_scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dask computes on this library, also where a test names one of Dask's schedulers."""
    for name in ("sync", "synchronous", "threads"):
        monkeypatch.setitem(named_schedulers, name, get)
    with dask.config.set(scheduler=get):
        yield
