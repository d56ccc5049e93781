"""Calls give values while shared memory or the temporary folder is full, read-only or missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import docker_engine
from tests.processes import QUIETLY, mentioning, program

pytestmark = pytest.mark.slow

READ_ONLY = "mount -t tmpfs -o ro tmpfs /dev/shm"
MISSING = "umount -l /dev/shm && rmdir /dev/shm 2>/dev/null || mount -t tmpfs -o ro,mode=000 tmpfs /dev/shm"
SMALL = "mount -t tmpfs -o size=2m tmpfs /dev/shm"

# Fills /dev/shm, or another folder, to the last byte.
FILL = """
def fill(folder):
    try:
        with open(f"{folder}/hog", "wb", buffering=0) as hog:
            while True:
                hog.write(bytes(4096))
    except OSError:
        pass
"""

LARGE = """
from distribute_challenge import compute_this

for backend in ("celery", "processes"):
    double = compute_this(lambda data: data + data, backend=backend)
    assert len(double(bytes(3_000_000)).compute(timeout=60)) == 6_000_000
    assert [len(value) for value in double.map([bytes(2_000_000)] * 3)] == [4_000_000] * 3
"""

# The process of a call dies while nothing more can be written.
DEATH = (
    FILL
    + """
import os, sys
from distribute_challenge import compute_this
from distribute_challenge.errors import WorkerLostError

folder, backend = sys.argv[1:]
square = compute_this(lambda x: x * x, backend=backend)
assert square(3).compute(timeout=60) == 9
fill(folder)
try:
    compute_this(lambda: os._exit(3), backend=backend, at_most_once=True)().compute(timeout=60)
except WorkerLostError:
    assert square(4).compute(timeout=60) == 16
    print("went on")
"""
)

PRINTING = (
    FILL
    + """
import sys
from distribute_challenge import compute_this

@compute_this
def talk(number):
    print("x" * 1000)
    return number

assert talk(1).compute(timeout=60) == 1
fill(sys.argv[1])
assert list(talk.map(range(100))) == list(range(100))
print("went on")
"""
)


# The folder of temporary files fills up after the script has first used it.
START = (
    FILL
    + """
import sys, tempfile
from distribute_challenge import compute_this
from distribute_challenge.errors import ClusterStartError

assert tempfile.gettempdir() == sys.argv[1]
fill(sys.argv[1])
assert compute_this(abs, backend="processes")(-3).compute(timeout=60) == 3
try:
    compute_this(abs)(-3).compute(timeout=60)
except ClusterStartError as error:
    print(error)
"""
)


def in_namespace(mount: str, script: str, folder: Path, *arguments: str, **variables: str) -> str:
    """What a script writes that runs with mounts of its own; it succeeds."""
    if subprocess.run(
        ["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False
    ).returncode:
        if docker_engine.in_ci():
            pytest.fail("unshare --map-root-user --mount is refused here")
        pytest.skip("needs mount namespaces")
    path = folder / "script.py"
    path.write_text(script)
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    with program(
        [*command, sys.executable, *QUIETLY, str(path), *arguments], folder, **variables
    ) as running:
        assert running.wait(within=50) == 0, running.output
        return running.output


@pytest.mark.parametrize("mount", [READ_ONLY, MISSING], ids=["read-only", "missing"])
def test_without_shared_memory_large_values_go_through_redis_and_one_line_says_so(
    mount: str, tmp_path: Path
) -> None:
    said = in_namespace(mount, LARGE, tmp_path)
    assert (
        said.count("large values go through Redis, which takes longer: /dev/shm is not there") == 1
    )


@pytest.mark.parametrize("backend", ["celery", "processes"])
@pytest.mark.parametrize("place", ["shared memory", "temporary folder"])
def test_a_process_that_dies_while_the_disk_is_full_is_replaced(
    place: str, backend: str, tmp_path: Path
) -> None:
    if place == "shared memory":
        said = in_namespace(SMALL, DEATH, tmp_path, "/dev/shm", backend)
    else:
        (tmp_path / "small").mkdir()
        mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path}/small"
        said = in_namespace(
            mount, DEATH, tmp_path, f"{tmp_path}/small", backend, TMPDIR=f"{tmp_path}/small"
        )
    assert said.splitlines()[-1] == "went on"


def test_a_cluster_that_finds_no_room_for_its_files_says_so(tmp_path: Path) -> None:
    """Below /mnt, as names of sockets must be short: else the cluster would use /tmp."""
    said = in_namespace(
        "mount -t tmpfs -o size=1m tmpfs /mnt", START, tmp_path, "/mnt", TMPDIR="/mnt"
    )
    assert (
        "cannot use /mnt, the folder for temporary files: No space left on device. Make room "
        "there, or" in said
    )
    assert mentioning("/mnt/distribute_challenge-") == {}


def test_calls_that_print_go_on_when_the_log_s_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path}/small"
    said = in_namespace(mount, PRINTING, tmp_path, f"{tmp_path}/small", TMPDIR=f"{tmp_path}/small")
    assert said.splitlines()[-1] == "went on"
