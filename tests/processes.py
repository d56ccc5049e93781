"""Real processes of tests: scripts as a user would run them, and what is left of them."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Of Linux; tests look at processes a hundred times a second, and `ps` takes longer than that.
PROC = Path("/proc")
HAS_PROC = (PROC / "self" / "stat").exists()
PATIENCE = 60  # Seconds after which a test would rather fail than wait; the machine may be busy.

# How Python ends after Ctrl+C: by the signal, or with 1 if any thread evaluates a text meanwhile,
# as for a named tuple. CPython forgets then that the program was interrupted.
AFTER_CTRL_C = (-signal.SIGINT, 1)

# Python ignores Ctrl+C where it comes while an object is deleted, and says so.
IGNORED = re.compile(
    r"^Exception ignored [^\n]*(?:__del__|_remove|finalize)[^\n]*\n(?:Traceback[^\n]*\n(?:[ \n].*\n?)*?)?"
    r"KeyboardInterrupt: *\n",
    re.MULTILINE,
)

_OWN_VARIABLES = (
    "CELERY_BROKER_URL",
    *(
        f"DISTRIBUTE_CHALLENGE_{name}"
        for name in (
            "BACKEND",
            "BROKER_URL",
            "LOGS",
            "SHARED_FOLDER",
            "STORE",
            "VALUE_CACHE",
            "WORKERS",
        )
    ),
)


def wait_until(
    condition: Callable[[], object], what: str = "the condition", *, within: float = PATIENCE
) -> None:
    """Wait until a condition holds, and fail if it does not in time.

    To look takes a quarter of a core at most, and leaves the rest to what is waited for.
    """
    deadline = time.monotonic() + within
    pause = threading.Event()
    began = time.thread_time()
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within:g} s"
        pause.wait(max(0.01, 3 * (time.thread_time() - began)))
        began = time.thread_time()


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, as a user's who has configured nothing, and with some variables."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OWN_VARIABLES}
    return {**inherited, "DISTRIBUTE_CHALLENGE_PATIENCE": "0", **variables}


def command_lines() -> dict[int, str]:
    """The processes of this machine that run, pid to command line; without zombies."""
    found = {}
    if HAS_PROC:
        for name in filter(str.isdigit, os.listdir(PROC)):
            with contextlib.suppress(OSError):  # It has ended meanwhile.
                command = Path(PROC, name, "cmdline").read_bytes()
                if command:  # Those that have ended have none.
                    found[int(name)] = command.decode(errors="replace").replace("\0", " ").rstrip()
        return found
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listing.stdout.splitlines():
        pid, _, state, command = line.split(None, 3)
        if not state.startswith("Z"):
            found[int(pid)] = command
    return found


def mentioning(text: str | Path) -> dict[int, str]:
    """Processes whose command line holds a text, such as the name of a cluster's private folder."""
    return {pid: command for pid, command in command_lines().items() if str(text) in command}


def alive(pids: list[int]) -> list[int]:
    """Return the given processes that run."""
    if HAS_PROC:
        return [pid for pid in pids if _is_running(pid)]
    running = command_lines()
    return [pid for pid in pids if pid in running]


def _is_running(pid: int) -> bool:
    try:
        return _state(PROC / str(pid))[0] != "Z"
    except OSError:
        return False


def _state(folder: Path) -> list[str]:
    """The state of a process and what follows it, behind the name, which may hold anything."""
    return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()


def parent(pid: int) -> int:
    if HAS_PROC:
        try:
            return int(_state(PROC / str(pid))[1])
        except OSError:
            return 0
    done = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return int(done.stdout or 0)


# From Python 3.12 on a fork of a process with threads is warned of; that it goes well is what some
# scripts are for.
QUIETLY = ("-W", "ignore:This process:DeprecationWarning")


class Program:
    """A program of its own, with its output in a file.

    Args:
        command: What to start.
        folder: Where it runs and where its output goes.
    """

    def __init__(self, command: list[str], folder: Path, **variables: str) -> None:
        folder.mkdir(exist_ok=True)
        self._path = folder / f"output-{time.monotonic_ns()}"
        self._repeats = False
        with self._path.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(PYTHONUNBUFFERED="1", **variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What it has written, without what `send` makes good."""
        return IGNORED.sub("", self._path.read_text(errors="replace"))

    def wait_for(self, text: str, *, within: float = PATIENCE) -> str:
        """Wait until it has written a text; all its output so far."""

        def written() -> bool:
            assert text in self.output or self.process.poll() is None, self.output
            return text in self.output

        wait_until(written, f"{text!r} in the output", within=within)
        return self.output

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; Ctrl+C once more if Python has ignored it, as a user would."""
        self.process.send_signal(number)
        if number == signal.SIGINT and not self._repeats:
            self._repeats = True
            threading.Thread(target=self._repeat, daemon=True).start()

    def _repeat(self) -> None:
        ignored, pause = 0, threading.Event()
        while self.process.returncode is None:
            if ignored < len(IGNORED.findall(self._path.read_text(errors="replace"))):
                ignored += 1
                self.process.send_signal(signal.SIGINT)
            pause.wait(0.1)

    def wait(self, *, within: float = PATIENCE) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(within)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def show(self) -> None:
        """Print its output; if it runs, end it, and print where its threads are."""
        if self.process.poll() is None:
            self.send(signal.SIGABRT)  # A script has Python's fault handler.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        print(f"--- the program (exit code {self.process.poll()}) wrote\n{self.output}\n---")


@contextlib.contextmanager
def program(command: list[str], folder: Path, **variables: str) -> Iterator[Program]:
    """Run a program; if the block fails, show what it wrote and where it is."""
    running = Program(command, folder, **variables)
    try:
        yield running
    except BaseException:
        running.show()
        raise
    finally:
        running.close()


@contextlib.contextmanager
def script(source: str, folder: Path, *arguments: str, **variables: str) -> Iterator[Program]:
    """A user's script, run by ``python script.py``."""
    folder.mkdir(exist_ok=True)
    path = folder / f"script{time.monotonic_ns()}.py"
    path.write_text(textwrap.dedent(source))
    command = [sys.executable, *QUIETLY, "-X", "faulthandler", str(path), *arguments]
    with program(command, folder, **variables) as running:
        yield running


def run(source: str, folder: Path, *arguments: str, **variables: str) -> str:
    """Run a script that succeeds; what it writes."""
    with script(source, folder, *arguments, **variables) as running:
        assert running.wait() == 0, running.output
        return running.output
