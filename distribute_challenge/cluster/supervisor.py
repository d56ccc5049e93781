"""A small program that starts the embedded cluster's processes, and ends them with the client.

The client runs it as ``python supervisor.py JSON``. Standard input is the lifeline, a pipe from the
client. The program imports nothing of the library before its end, so that it starts fast. The
processes that it starts inherit its environment.

Guarantees:

- When the lifeline closes, every process started here is killed and the folder is gone; so is what
  the calls themselves started (on Linux also in sessions of their own). The kernel closes the
  lifeline also for a client that was killed; its large values in shared memory then go, too.
- When this program itself is killed, the kernel kills the two that it started (on Linux), and those
  theirs.
- One line on standard output tells the client when a process died by itself: which one, how, and
  its last log lines; or why there are none.
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
from collections.abc import Callable, Iterable
from typing import Any

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SECRET_FILE = "secret"  # The same as `security.SECRET_FILE`, which is not imported here.
SECRET_VARIABLE = "DISTRIBUTE_CHALLENGE_CLUSTER_SECRET"
LAST_LINES = 20
# Seconds for killed processes to end; one that hangs in the kernel, or is another user's, may stay.
KILL_DEADLINE = 5.0


def main(arguments: str) -> None:
    """Start the processes, and wait until the client ends or says stop, or a process dies.

    Args:
        arguments: JSON with the folder, the commands, and the patience: seconds for the worker to
            end after SIGTERM.
    """
    plan: dict[str, Any] = json.loads(arguments)
    # Not for what the calls start: they would find it among their variables.
    secret = os.environ.pop(SECRET_VARIABLE)
    try:
        logs = _prepare(plan["folder"], secret, plan["commands"])
    except OSError as error:
        _tell({"unusable": error.strerror})
        return
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
            children[name] = _start(command, logs[name], die_with_parent)
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
        # The worker ends first; it gets time to end in order if the client is waiting for that.
        if patience and not _is_dead(children["worker"]):
            _end_warmly(children["worker"], patience)
        _kill_all(
            _children if LINUX else lambda: [pid for pid in children.values() if not _is_dead(pid)]
        )
        shutil.rmtree(plan["folder"], ignore_errors=True)
        if is_abandoned:
            # Remove the large values of clients that were killed.
            from distribute_challenge import settings
            from distribute_challenge.owned_folder import sweep

            sweep(settings.shared_folder())
        if not LINUX:  # pragma: no cover - it ends this program before coverage can be saved
            # At last, kill all processes that calls may have started, and this program with them.
            os.killpg(0, signal.SIGKILL)


def _prepare(folder: str, secret: str, names: Iterable[str]) -> dict[str, int]:
    """Make the cluster's folder: a client that is killed early could not remove it.

    Args:
        folder: Where.
        secret: The cluster's.
        names: Of the processes that are to be started.

    Returns:
        The log of each process, as a file descriptor.
    """
    os.mkdir(folder, 0o700)
    try:
        _write_secret(os.path.join(folder, SECRET_FILE), secret)
        return {name: _new_log(os.path.join(folder, f"{name}.log")) for name in names}
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_secret(path: str, secret: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, secret.encode())
    os.close(file)


def _new_log(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _become_reaper() -> Callable[[], None]:
    """Become the parent of all descendants whose own parent ends.

    Outside Linux, this function and the one that it returns do nothing.

    Returns:
        A function that a child calls, so that the kernel kills it when this program ends.
    """
    if not LINUX:
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_statuses: dict[int, int] = {}


def _start(command: list[str], log: int, die_with_parent: Callable[[], None]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
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
    """Wait for all children that have ended, so that no zombies pile up."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _statuses[ended[0]] = os.waitstatus_to_exitcode(ended[1])


def _report(name: str, children: dict[str, int], folder: str) -> None:
    with open(os.path.join(folder, f"{name}.log"), errors="replace") as file:
        lines = file.read().splitlines()[-LAST_LINES:]
    _tell({"process": name, "exit_code": _statuses[children[name]], "log": lines})


def _tell(report: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # The client is gone as well.
        os.write(1, json.dumps(report).encode() + b"\n")


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
    """List the children of this program, including those that it inherited from dead parents."""
    _reap()
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The command's name, in parentheses, may hold any character; the state and the parent
            # come after it.
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


if __name__ == "__main__":
    main(sys.argv[1])
