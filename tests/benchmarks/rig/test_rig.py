"""A cluster of processes: up in the block, gone behind it."""

import os
from pathlib import Path

import pytest

from benchmarks.rig.rig import Rig
from distribute_challenge import settings
from distribute_challenge.errors import ClusterStartError
from tests.processes import mentioning, wait_until


@pytest.mark.slow
def test_a_rig_that_does_not_start_leaves_no_process(tmp_path: Path) -> None:
    with (
        pytest.raises(ClusterStartError, match="worker w1 is not ready"),
        Rig(tmp_path, options=["--no-such-option"]),
    ):
        pass
    wait_until(lambda: not mentioning(tmp_path), "the end of all processes")


@pytest.mark.parametrize("before", [None, "of the user's own, and of no less than 32 characters"])
def test_the_secret_of_the_rig_is_in_the_environment_only_inside_as_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(settings.SECRET_VARIABLE, raising=False)
    if before is not None:
        monkeypatch.setenv(settings.SECRET_VARIABLE, before)
    rig = Rig(tmp_path)
    with rig.as_client():
        assert (
            os.environ[settings.SECRET_VARIABLE] == rig.client_environment[settings.SECRET_VARIABLE]
        )
    assert os.environ.get(settings.SECRET_VARIABLE) == before
