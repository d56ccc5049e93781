"""A real browser for tests: without one they are skipped, and fail in CI.

`.ci/run` sets ``WITHOUT_CHROMIUM`` where it could not install one, and says so.
"""

import os

import pytest

from benchmarks.dashboard.chromium import Chromium, program
from tests.docker_engine import in_ci

__all__ = ["browser"]


def browser() -> Chromium:
    """A browser with a page, to be entered."""
    path = program()
    if path is None:
        text = "no Chromium is installed; Debian's package is called chromium"
        if in_ci() and "WITHOUT_CHROMIUM" not in os.environ:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    return Chromium(path)
