"""Pairs that do not fit into shared memory, in programs of their own."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.rig.small_disk import SmallDisk, lacks_small_disks
from tests.processes import wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]

PROGRAM = """
import sys, time
from distribute_challenge import map_reduce

def mapper(item):
    for number in range(20_000):
        yield f"key {number:06} {'x' * 40}", item

def fold(one, other):
    return one + other

def reducer(key, values):
    time.sleep(300)

if __name__ == "__main__":
    step = {"fold": fold} if sys.argv[1] == "fold" else {"reducer": reducer}
    found = dict(map_reduce(mapper, range(16), **step, partitions=4))
    print(len(found), set(found.values()))
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return [sys.executable, str(path)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    return path


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DISTRIBUTE_CHALLENGE_SHARED_FOLDER": str(folder),
        "DISTRIBUTE_CHALLENGE_WORKERS": "2",
    }


def size(folder: Path) -> int:
    """Return the bytes of all values in it."""
    total = 0
    for path in folder.glob("*/*"):
        with suppress(FileNotFoundError):  # It was renamed when it was complete.
            total += path.stat().st_size
    return total


@pytest.mark.skipif(bool(lacks_small_disks()), reason=lacks_small_disks())
def test_more_pairs_than_fit_into_shared_memory_go_through_redis(
    program: list[str], folder: Path
) -> None:
    """16 MB of them, with 4 MB of shared memory."""
    done = subprocess.run(
        [*SmallDisk(folder).prefix, *program, "fold"],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == f"20000 {{{sum(range(16))}}}\n", done.stderr


def test_pairs_in_a_folder_on_disk_are_removed_when_the_client_is_killed(
    program: list[str], folder: Path
) -> None:
    with subprocess.Popen([*program, "reduce"], env=environment(folder)) as process:
        try:
            # How many there are depends on how many items the calls got.
            wait_until(lambda: size(folder) > 500_000, "pairs of the first wave", within=120)
        finally:
            process.kill()
    wait_until(lambda: not any(folder.iterdir()), "the removal of the folder", within=60)
