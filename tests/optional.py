"""Packages that a test needs and some machines lack: without them it is skipped, or fails in CI."""

import importlib
from types import ModuleType

import pytest

from tests.docker_engine import in_ci

__all__ = ["needed"]


def needed(name: str) -> ModuleType:
    """A package of the ``test`` extra."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"{name} is not installed; it comes with the test extra"
        if in_ci():
            raise AssertionError(text) from error
        pytest.skip(text, allow_module_level=True)
