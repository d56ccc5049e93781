"""Scripts whose calls print, and where that goes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import AFTER_CTRL_C, PATIENCE, environment, run, script

pytestmark = [pytest.mark.celery, pytest.mark.slow]

CALLS = """
    import sys
    from distribute_challenge import compute_this

    @compute_this
    def pour(lines):
        for number in range(lines):
            print("line", number)
        return lines

    @compute_this
    def forever():
        number = 0
        while True:
            number += 1
            print("line", number)
    """


def test_a_script_without_streams_gets_its_results(tmp_path: Path) -> None:
    """A script under ``pythonw`` has none."""
    body = """
    stream, sys.stdout, sys.stderr = sys.stdout, None, None
    print(pour(5).compute(), sum(pour.map([3, 4])), file=stream)
    """
    assert run(CALLS + body, tmp_path) == "5 7\n"


def pouring(ending: str, folder: Path) -> "subprocess.Popen[str]":
    """A script whose calls print many lines, with both ends of its output in a pipe."""
    path = folder / "script.py"
    path.write_text(
        "import os\n"
        "from distribute_challenge import compute_this\n"
        "@compute_this\n"
        "def pour(lines):\n"
        "    for number in range(lines):\n"
        "        print('line', number)\n"
        "    return lines\n"
        f"{ending}\n"
    )
    command = [sys.executable, str(path)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    )


def test_a_script_whose_stdout_is_closed_by_its_reader_goes_on(tmp_path: Path) -> None:
    """``python script.py | head -1``."""
    ending = "os.write(2, b'%d' % sum(future.result() for future in [pour(2000).submit() for _ in range(5)]))"
    with pouring(ending, tmp_path) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().endswith(" │ line 0\n")
        running.stdout.close()
        assert running.stderr.read().startswith("10000")
        running.wait(PATIENCE)


def test_ctrl_c_ends_a_script_at_once_while_a_call_prints(tmp_path: Path) -> None:
    body = """
    forever().compute()
    """
    with script(CALLS + body, tmp_path) as running:
        running.wait_for("line 1000\n")
        running.send(signal.SIGINT)
        assert running.wait() in AFTER_CTRL_C
        assert running.output.rstrip().endswith("KeyboardInterrupt")


def test_output_printed_before_a_result_is_written_before_the_script_ends(tmp_path: Path) -> None:
    """The script may be short, and its output may be read slowly."""
    with pouring("pour(30000).compute()", tmp_path) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(3)  # The pipe is full.
        assert len(running.stdout.readlines()) == 30_000
        assert running.stderr.read() == ""
        assert running.wait(PATIENCE) == 0
