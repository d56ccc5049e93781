"""The calls end as they are told, and say that they began."""

from pathlib import Path

import pytest

from benchmarks.rig.calls import MistakeError, answer, pause, right, work
from benchmarks.rig.diary import Diary


def test_calls_of_the_rig_return_values_or_raise_as_told(tmp_path: Path) -> None:
    assert work.local(str(tmp_path), "c-1", 0.0, "value") == answer("c-1")
    with pytest.raises(MistakeError, match="c-2"):
        work.local(str(tmp_path), "c-2", 0.0, "raise")
    large = right("c-3", "large")
    assert work.local(str(tmp_path), "c-3", 0.0, "large", large) == large
    with pytest.raises(
        ValueError, match="c-4 got another argument than it was given, of 320000 characters"
    ):
        work.local(str(tmp_path), "c-4", 0.0, "large", large)
    assert [entry.call for entry in Diary(tmp_path).read()] == ["c-1", "c-2", "c-3", "c-4"]
    assert pause.local(0.0) is None  # type: ignore[func-returns-value]
