"""The bar of maps and of `progress`."""

from functools import partial
from typing import Any

import pytest
import tqdm.auto

from distribute_challenge.core.progress_bar import ProgressBar


class Clock:
    """A clock that a test sets."""

    def __init__(self, bar: Any) -> None:
        self.now = 1000.0
        bar._time = lambda: self.now
        bar.start_t = bar.last_print_t = self.now


def test_the_elapsed_time_of_the_bar_begins_with_the_first_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here, the cluster has taken 100 s to start; each call takes a second."""
    with ProgressBar("square", 10) as bar:
        clock = Clock(bar._bar)
        clock.now += 101
        bar.update(1, 0, 1.0)
        assert bar._bar.format_dict["elapsed"] == 1.0
        clock.now += 4
        bar.update(4, 0, 1.0)
        assert bar._bar.format_dict["elapsed"] == 5.0
    shown = capsys.readouterr().err
    assert "5/10 [00:05<00:05,  1.00call/s]" in shown
    assert "failed" not in shown


def test_calls_that_began_before_the_bar_do_not_move_its_beginning() -> None:
    with ProgressBar(None, None) as bar:
        clock = Clock(bar._bar)
        clock.now += 1
        bar.update(1, 0, 50.0)
        assert bar._bar.format_dict["elapsed"] == 1.0


def test_the_bar_counts_failed_calls(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(None, 4) as bar:
        bar.update(2, 1, 0.0)
        bar.update(2, 2, 0.0)
    assert "4/4" in (shown := capsys.readouterr().err)
    assert "failed=3" in shown


def test_the_bar_can_be_disabled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the variable TQDM_DISABLE, which tqdm reads when it is imported."""
    monkeypatch.setattr("tqdm.auto.tqdm", partial(tqdm.auto.tqdm, disable=True))
    bar = ProgressBar(None, 1)
    bar.update(1, 1, 0.0)
    bar.close()
    assert capsys.readouterr().err == ""
