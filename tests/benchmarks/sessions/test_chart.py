"""The picture; whether it is a good one, only eyes tell."""

from pathlib import Path

import pytest

from benchmarks.peers.benchmark import BENCHMARK
from tests.benchmarks.peers.recorded import recorded


@pytest.mark.slow
def test_the_same_run_gives_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = BENCHMARK.draw(recorded(), tmp_path)
    assert [path.name for path in paths] == ["peers.png", "peers.svg"]
    again = BENCHMARK.draw(recorded(), tmp_path, "again")
    assert paths[1].read_bytes() == again[1].read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")


def test_a_run_without_the_figures_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert BENCHMARK.draw({**recorded(), "peers": {}}, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
