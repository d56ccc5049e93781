"""Programs that the benchmark starts: what is left of them, and what they wrote."""

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.benchmarking.clusters import child_process
from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from tests.processes import AFTER_CTRL_C, PATIENCE, alive, script, wait_until


@pytest.fixture
def output(tmp_path: Path) -> Path:
    path = tmp_path / "output.log"
    path.write_text("of an earlier one\n")
    return path


def shell(source: str, output: Path, **variables: str) -> ChildProcess:
    return ChildProcess(["sh", "-c", source], output=output, environment=variables)


def test_output_of_a_child_process_is_appended_and_its_own_part_can_be_read(output: Path) -> None:
    child = shell("seq 30; echo $WORD >&2; exit 3", output, WORD="done")
    assert child.wait(within=PATIENCE) == child.code == 3
    assert child.text().startswith("1\n2\n")
    assert child.last_lines() == [*map(str, range(12, 31)), "done"]
    assert output.read_text().startswith("of an earlier one\n1\n")


def test_wait_with_show_copies_the_output_of_the_child_process_to_stderr(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell("echo one; sleep 0.2; echo two", output).wait(show=True) == 0
    assert capsys.readouterr().err == "one\ntwo\n"


def test_a_child_process_runs_in_the_given_folder_with_the_given_open_files(
    tmp_path: Path, output: Path
) -> None:
    file = os.open(tmp_path, os.O_RDONLY)
    command = ["sh", "-c", f"pwd -P; test -e /dev/fd/{file} && echo open"]
    for keep, expected in (
        ([file], [str(tmp_path.resolve()), "open"]),
        ([], [str(tmp_path.resolve())]),
    ):
        child = ChildProcess(command, output=output, environment={}, folder=tmp_path, keep=keep)
        child.wait(within=PATIENCE)
        assert child.last_lines() == expected
    os.close(file)


def test_wait_ends_a_child_process_and_its_own_children_after_the_timeout(output: Path) -> None:
    child = shell("sleep 1000 & echo $!; wait", output)
    wait_until(lambda: child.text().endswith("\n"))
    with pytest.raises(TimeoutError, match=r"did not end within 0\.1 s"):
        child.wait(within=0.1)
    assert child.code == -signal.SIGTERM
    wait_until(lambda: alive([int(child.text())]) == [])
    child.end()  # Nothing happens.


def test_end_kills_a_child_process_that_ignores_sigterm(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "END_WITHIN", 0.1)
    child = shell("trap '' TERM; echo deaf; while true; do sleep 0.1; done", output)
    wait_until(child.last_lines)
    child.end()
    assert child.code == -signal.SIGKILL


INTERRUPTED = """
    import sys
    from pathlib import Path
    from distribute_challenge.benchmarking.clusters.child_process import ChildProcess

    child = ChildProcess(["sh", "-c", sys.argv[1]], output=Path("child.log"), environment={})
    try:
        print("waiting", flush=True)
        child.wait()
    finally:
        print("code", child.code, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "times", "code"),
    [
        pytest.param("echo $$; exec sleep 1000", 1, -signal.SIGTERM, id="once"),
        pytest.param(
            "trap 'echo deaf' TERM; echo $$; while true; do sleep 0.1; done",
            2,
            -signal.SIGKILL,
            id="twice",
        ),
    ],
)
def test_ctrl_c_during_wait_terminates_the_child_and_kills_it_the_second_time(
    source: str, times: int, code: int, tmp_path: Path
) -> None:
    """Gently; at once the second time. It does not get the terminal's Ctrl+C itself."""
    log = tmp_path / "child.log"
    with script(INTERRUPTED, tmp_path, source) as program:
        program.wait_for("waiting")
        wait_until(lambda: log.read_text().endswith("\n"))
        child = int(log.read_text())
        assert os.getsid(child) == child
        program.send(signal.SIGINT)
        if times == 2:
            wait_until(lambda: "deaf" in log.read_text())
            program.send(signal.SIGINT)
        assert program.wait() in AFTER_CTRL_C
        assert f"code {code}\n" in program.output
    assert alive([child]) == []


@pytest.mark.parametrize("program", ["sleep", "missing"])
def test_ctrl_c_during_the_start_of_a_child_process_ends_it(
    program: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is missing leaves no process to end."""
    started, start = [], subprocess.Popen.__init__

    def interrupted(self: "subprocess.Popen[bytes]", *arguments: Any, **options: Any) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        start(self, *arguments, **options)
        started.append(self.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ChildProcess([program, "1000"], output=output, environment={})
    monkeypatch.undo()
    assert len(started) == (program == "sleep")
    assert alive(started) == []


def test_starting_a_missing_program_raises_file_not_found_error(output: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChildProcess([str(output.parent / "missing")], output=output, environment={})
