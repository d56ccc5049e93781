"""Programs that work on when their standard streams cannot be written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import environment, run

BEGINNING = """
import os, sys
from distribute_challenge.execution.standard_streams import work_without_streams

work_without_streams()
work_without_streams()
"""


def output_of(redirection: str, source: str, folder: Path) -> str:
    """What a program writes that a shell starts with streams of another kind; it succeeds."""
    path = folder / "program.py"
    path.write_text(BEGINNING + source)
    command = ["bash", "-c", f'exec "$@" {redirection}', "bash", sys.executable, str(path)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "redirection", [">/dev/full", "> >(exec true)"], ids=["a full disk", "a reader that is gone"]
)
@pytest.mark.parametrize("descriptor", [1, 2])
def test_output_to_a_broken_stream_is_lost_and_the_other_stream_reports_it_once(
    redirection: str, descriptor: int, tmp_path: Path
) -> None:
    name = "stdout" if descriptor == 1 else "stderr"
    # The reader has to be gone first: its end of the pipe is closed when a write fails.
    source = f"""
        stream = sys.{name}
        try:
            while True:
                os.write({descriptor}, b"x")
        except OSError:
            pass
        for number in range(3):
            print(number, file=stream, flush=True)
        """
    said = output_of(f"{descriptor}{redirection}", source.replace("\n        ", "\n"), tmp_path)
    assert said.count("cannot be written, and is lost: ") == 1
    assert said.startswith("standard output" if descriptor == 1 else "standard error")


@pytest.mark.parametrize(
    "redirection", [">/dev/full 2>&1", ">&- 2>&-", "<&- >&- 2>&-"], ids=["full", "closed", "all"]
)
def test_a_program_without_any_stream_works_on(redirection: str, tmp_path: Path) -> None:
    """Files and connections that it opens do not get the numbers of the standard streams."""
    source = f"""
print("lost")
print("lost", file=sys.stderr)
print("lost", file=sys.__stdout__)
number = os.open({str(tmp_path / "file")!r}, os.O_WRONLY | os.O_CREAT)
assert number > 2
os.system("echo lost")
os.write(number, b"written")
"""
    assert output_of(redirection, source, tmp_path) == ""
    assert (tmp_path / "file").read_text() == "written"


def test_the_number_of_lost_bytes_is_written_when_the_stream_has_room_again(tmp_path: Path) -> None:
    source = """
        room = os.dup(1)
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        print("four")
        os.dup2(room, 1)
        print("here again")
        print("and on")
        """
    said = run(BEGINNING + source.replace("\n        ", "\n"), tmp_path)
    assert said.splitlines()[-3:] == ["5 bytes of this output are lost", "here again", "and on"]


def test_the_safe_stream_has_the_attributes_of_a_stream_and_keeps_replacements(
    tmp_path: Path,
) -> None:
    source = """
print(sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty(), sys.stdout.writable(), sys.stdout.encoding)
print(sys.stdout.name, sys.stdout.mode, sys.stdout is sys.__stdout__)
import io
sys.stdout, sys.__stderr__ = io.StringIO(), None
other, error = sys.stdout, sys.stderr
work_without_streams()
assert (sys.stdout, sys.stderr) == (other, error)
"""
    said = run(BEGINNING + source, tmp_path, PYTHONIOENCODING="cp1252")
    assert said == "1 2 False True cp1252\n<standard output> w True\n"
