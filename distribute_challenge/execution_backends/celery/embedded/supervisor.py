"""The parent of the embedded cluster's processes: a small program that ends them when the client
ends, however it ends.

Run as ``python supervisor.py JSON`` with the lifeline, a pipe from the client, as standard input;
it loads nothing of the library before its end, so that it is there in a moment. What it starts
inherits its environment.

Guarantees:

- When the lifeline closes, every process started here is killed and the folder is gone; so is what
  the calls themselves started (on Linux also in sessions of their own). The kernel closes the
  lifeline also for a client that was killed; its large values in shared memory then go, too.
- When this program itself is killed, the kernel kills the two that it started (on Linux), and those
  theirs.
- One line on standard output tells the client when a process died by itself: which one, how, and
  its last log lines.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SECRET_FILE = "secret"  # Its name is that of `security.SECRET_FILE`, which is not loaded here.
SECRET_VARIABLE = "DISTRIBUTE_CHALLENGE_CLUSTER_SECRET"
LAST_LINES = 20
# Seconds for the killed to be gone; one stuck in the kernel, or another user's, may never be.
KILL_DEADLINE = 5.0


def main(arguments: str) -> None:
    """Start the processes, then wait for the first of: the client's end, a word from it, a
    process's death.
    """
    plan: dict[str, Any] = json.loads(arguments)
    # Made here and not by the client, which may be killed before it has anybody to tidy up after
    # it.
    os.mkdir(plan["folder"], 0o700)
    # Not for what the calls start: they would find it among their variables.
    _write_secret(os.path.join(plan["folder"], SECRET_FILE), os.environ.pop(SECRET_VARIABLE))
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    die_with_parent = _become_reaper()
    children: dict[str, int] = {}
    patience = 0.0
    is_abandoned = False
    try:
        for name, command in plan["commands"].items():
            children[name] = _start(
                command, os.path.join(plan["folder"], f"{name}.log"), die_with_parent
            )
        died = None
        while died is None:
            ready, _, _ = select.select([0, wake_read], [], [])
            if 0 in ready:
                word = os.read(0, 100)
                is_abandoned = not word
                patience = 0.0 if is_abandoned else plan["patience"]
                break
            signals = os.read(wake_read, 100)
            if signal.SIGTERM in signals or signal.SIGINT in signals:
                break
            died = next((name for name, pid in children.items() if _is_dead(pid)), None)
        if died is not None:
            _report(died, children, plan["folder"])
    finally:
        # The worker first, warmly if the client has patience.
        if patience and not _is_dead(children["worker"]):
            _end_warmly(children["worker"], patience)
        _kill_all(
            _children if LINUX else lambda: [pid for pid in children.values() if not _is_dead(pid)]
        )
        shutil.rmtree(plan["folder"], ignore_errors=True)
        if is_abandoned:
            # The large values of clients that were killed.
            from distribute_challenge import settings
            from distribute_challenge.owned_folder import sweep

            sweep(settings.shared_folder())
        if not LINUX:  # pragma: no cover - it ends this program before coverage can be saved
            # Last, and this program with them: what the calls may have started.
            os.killpg(0, signal.SIGKILL)


def _write_secret(path: str, secret: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, secret.encode())
    os.close(file)


def _become_reaper() -> Callable[[], None]:
    """Inherit the orphans among this program's descendants.

    Returns:
        What a child calls to be killed with this program. It does nothing where the kernel does not
        offer it, as does this function itself.
    """
    if not LINUX:
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_statuses: dict[int, int] = {}


def _start(command: list[str], log: str, die_with_parent: Callable[[], None]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent()
        if os.getppid() != parent:
            raise ProcessLookupError("the supervisor was killed")
        os.execv(command[0], command)
    except BaseException as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def _is_dead(pid: int) -> bool:
    _reap()
    return pid in _statuses


def _reap() -> None:
    """Take in all that have ended, so that orphans of the calls do not pile up."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _statuses[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def _report(name: str, children: dict[str, int], folder: str) -> None:
    with open(os.path.join(folder, f"{name}.log"), errors="replace") as file:
        lines = file.read().splitlines()[-LAST_LINES:]
    line = json.dumps({"process": name, "exit_code": _statuses[children[name]], "log": lines})
    with contextlib.suppress(OSError):  # The client is gone as well.
        os.write(1, line.encode() + b"\n")


def _end_warmly(pid: int, patience: float) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while not _is_dead(pid) and time.monotonic() < deadline:
        time.sleep(0.005)


def _kill_all(children: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + KILL_DEADLINE
    while (left := children()) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(OSError):  # It has just ended, or is another user's.
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _children() -> list[int]:
    """All children of this program: those it started, and those it inherited as their own parents
    died.
    """
    _reap()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The command's name, in parentheses, may hold anything; the state and the parent come
            # after it.
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
