"""Variables that hold for as long as a cluster does."""

import os

import pytest

from distribute_challenge.benchmarking.clusters.variables import TemporaryVariables


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "before")
    monkeypatch.delenv("NOT_THERE", raising=False)


def now() -> tuple[str | None, str | None]:
    return os.environ.get("THERE"), os.environ.get("NOT_THERE")


def test_temporary_variables_are_set_and_restored_repeatedly() -> None:
    """This works more than once."""
    variables = TemporaryVariables({"THERE": "new", "NOT_THERE": "new"})
    variables.restore()
    assert now() == ("before", None)
    for _ in range(2):
        variables.set()
        variables.set()
        assert now() == ("new", "new")
        variables.restore()
        variables.restore()
        assert now() == ("before", None)


def test_a_variable_that_other_code_has_changed_meanwhile_is_left_alone() -> None:
    variables = TemporaryVariables({"THERE": "new", "NOT_THERE": "new"})
    variables.set()
    os.environ["THERE"] = "another's"
    del os.environ["NOT_THERE"]
    variables.restore()
    assert now() == ("another's", None)
