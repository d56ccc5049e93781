"""Each engine promises a quiet and quick end of a script, without leftovers of its calls."""

import os
import signal
from pathlib import Path

import pytest

from tests.processes import AFTER_CTRL_C, alive, mentioning, script, wait_until

pytestmark = pytest.mark.slow

USER = """
    import atexit, os, sys, time
    from pathlib import Path
    from distribute_challenge import compute_this

    @compute_this
    def nap(path):
        Path(path, str(os.getpid())).touch()
        for _ in range(3000):
            time.sleep(0.1)

    futures = [nap(sys.argv[1]).submit() for _ in range(6)]
    while len(os.listdir(sys.argv[1])) < 1:
        time.sleep(0.01)
    atexit.register(print, "ending")
    print("waiting")
    futures[0].result()
"""


def ignores_ctrl_c(pid: int) -> bool:
    """Whether a process ignores SIGINT, or has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    if "State:\tZ" in status:
        return True
    ignored = status.partition("SigIgn:")[2].split()[0]
    return bool(int(ignored, 16) >> (signal.SIGINT - 1) & 1)


@pytest.mark.parametrize("engine", ["threads", "processes", "celery"])
def test_ctrl_c_again_while_a_script_ends_changes_nothing(engine: str, tmp_path: Path) -> None:
    """What cleans up goes on, and says nothing."""
    folder = tmp_path / "pids"
    folder.mkdir()
    variables = {
        "DISTRIBUTE_CHALLENGE_BACKEND": engine,
        "DISTRIBUTE_CHALLENGE_WORKERS": "1",
        "TMPDIR": str(tmp_path),
    }
    with script(USER, tmp_path, str(folder), **variables) as running:
        running.wait_for("waiting")
        running.send(signal.SIGINT)
        running.wait_for("ending")
        # From the first clean-up on: a Ctrl+C before that is one for the user's own `atexit`.
        wait_until(lambda: ignores_ctrl_c(running.process.pid), "the first clean-up")

        def has_ended() -> bool:
            running.send(signal.SIGINT)
            return running.process.poll() is not None

        wait_until(has_ended, "the end of the script")
        assert running.process.returncode in AFTER_CTRL_C
        assert running.output.count("Traceback") == 1, running.output
        assert running.output.endswith("KeyboardInterrupt\nending\n")
        pids = [
            int(path.name) for path in folder.iterdir() if int(path.name) != running.process.pid
        ]
        wait_until(lambda: not alive(pids) and not mentioning(tmp_path), "the end of all processes")


@pytest.mark.parametrize("engine", ["threads", "processes", "celery"])
@pytest.mark.parametrize("end", ["", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_script_that_ends_with_open_calls_leaves_nothing(
    engine: str, end: str, tmp_path: Path
) -> None:
    """However it ends, it leaves no process and no traceback.

    One that ends in order says how many calls it has cancelled.
    """
    folder = tmp_path / "pids"
    folder.mkdir()
    source = USER.replace("futures[0].result()", end).replace('"ending"', '"", end=""')
    variables = {
        "DISTRIBUTE_CHALLENGE_BACKEND": engine,
        "DISTRIBUTE_CHALLENGE_WORKERS": "1",
        "TMPDIR": str(tmp_path),
    }
    with script(source, tmp_path, str(folder), **variables) as running:
        assert running.wait() == {"os.kill(os.getpid(), 9)": -signal.SIGKILL}.get(end, os.EX_OK)
        first, *rest = running.output.splitlines()
        assert first == "waiting"
        assert (
            [line.partition(" not done")[0] for line in rest] == []
            if end
            else ["sys:1: NeverRunWarning: 6 submitted calls were"]
        )
        pids = [
            int(path.name) for path in folder.iterdir() if int(path.name) != running.process.pid
        ]
        wait_until(lambda: not alive(pids) and not mentioning(tmp_path), "the end of all processes")
