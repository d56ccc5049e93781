"""What both benchmarks have in common, and what their docstrings show."""

import doctest
from importlib import import_module

import pytest

from benchmarks.machine import describe_machine, in_a_line


@pytest.mark.parametrize(
    "module", ["markdown", "self.ideal", "self.latency", "self.where.catalogue"]
)
def test_doctests_of_the_benchmark_modules_pass(module: str) -> None:
    tried = doctest.testmod(import_module(f"benchmarks.{module}"))
    assert tried.attempted
    assert not tried.failed


def test_the_machine_is_described_in_a_line() -> None:
    machine = describe_machine()
    assert machine["redis"][0].isdigit()
    assert f"{machine['cores']} cores" in in_a_line(machine)
