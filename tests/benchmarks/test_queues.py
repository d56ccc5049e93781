"""Queues of this library, beside `multiprocessing.Queue`."""

import pytest
from click.testing import CliRunner

from benchmarks import queues


@pytest.mark.celery
@pytest.mark.slow
@pytest.mark.parametrize("only", ["batches", "single"])
def test_all_items_come_through_on_both(only: str) -> None:
    run = CliRunner().invoke(queues.main, ["--only", only, "--rounds", "1", "--scale", "0.005"])
    assert run.exit_code == 0, run.output
    assert run.stdout.count(" s (") == 2
