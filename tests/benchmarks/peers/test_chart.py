"""The picture; whether it is a good one, only eyes tell."""

from pathlib import Path

import pytest

from benchmarks.peers.chart import draw
from tests.benchmarks.peers.recorded import recorded


@pytest.mark.slow
def test_the_same_run_gives_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = draw(recorded(), tmp_path)
    assert [path.name for path in paths] == ["peers.png", "peers.svg"]
    again = draw(recorded(), tmp_path, "again")
    assert paths[1].read_bytes() == again[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")
