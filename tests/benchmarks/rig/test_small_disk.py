"""A disk of its own for one program, that can be filled up."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig import small_disk as module
from benchmarks.rig.small_disk import SmallDisk, lacks_small_disks
from tests.processes import PATIENCE, wait_until

# Appends to a file whenever it is told to, and says elsewhere what came of it.
WRITER = """
import errno, sys
folder, said = sys.argv[1:]
print("begun", flush=True)
for line in sys.stdin:
    try:
        with open(f"{folder}/own", "a") as file:
            file.write("x" * 10_000)
        outcome = "written"
    except OSError as error:
        outcome = errno.errorcode[error.errno]
    with open(said, "a") as file:
        file.write(f"{outcome} ")
"""


@pytest.fixture(autouse=True)
def can_have_them(request: pytest.FixtureRequest) -> None:
    if "possible" in request.fixturenames and (lack := lacks_small_disks()):
        pytest.skip(lack)


@pytest.fixture
def possible() -> None:
    """Marks tests that need such disks."""


@pytest.mark.usefixtures("possible")
def test_a_small_disk_is_full_until_it_is_freed_and_only_its_program_sees_it(
    tmp_path: Path,
) -> None:
    folder, said = tmp_path / "disk", tmp_path / "said"
    folder.mkdir()
    said.touch()
    disk = SmallDisk(folder)
    command = [*disk.prefix_with_output, sys.executable, "-c", WRITER, str(folder), str(said)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as program:
        assert program.stdin is not None
        wait_until(
            lambda: (
                disk.output(program.pid).exists()
                and disk.output(program.pid).read_text() == "begun\n"
            )
        )
        for order, outcome in ((disk.fill, "ENOSPC"), (disk.free, "written")):
            order(program.pid)
            program.stdin.write(b"\n")
            program.stdin.flush()
            wait_until(lambda outcome=outcome: said.read_text().endswith(f"{outcome} "), outcome)
        assert list(folder.iterdir()) == []
        program.communicate(timeout=PATIENCE)


def test_errors_of_filling_other_than_a_full_disk_are_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SmallDisk(tmp_path / "missing").fill(os.getpid())


@pytest.fixture
def asked_anew() -> Iterator[None]:
    lacks_small_disks.cache_clear()
    yield
    lacks_small_disks.cache_clear()


@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize(
    ("command", "lack"),
    [
        (
            "no-such-command",
            "mounts of its own for a worker, which need no-such-command: No such file or directory",
        ),
        (sys.executable, "mounts of its own for a worker: "),
    ],
)
def test_a_machine_without_mount_namespaces_reports_the_reason(
    monkeypatch: pytest.MonkeyPatch, command: str, lack: str
) -> None:
    monkeypatch.setattr(module, "_NAMESPACE", (command, "-c", "raise SystemExit('refused')"))
    assert lacks_small_disks().startswith(lack)
