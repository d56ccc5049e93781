"""The parent of the embedded cluster's processes: a small program that ends them when the client ends, however it ends.

Run as ``python supervisor.py JSON`` with the lifeline, a pipe from the client, as standard input; it loads nothing of the
library, so that it is there in a moment.

Guarantees:

- When the lifeline closes, every process started here is killed and the folder is gone. The kernel closes it
  also for a client that was killed.
- When this program itself is killed, the kernel kills the two that it started (on Linux), and those theirs.
- One line on standard output tells the client when a process died by itself: which one, how, and its last log lines.
"""

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

PR_SET_PDEATHSIG = 1
LAST_LINES = 20


def main(arguments: str) -> None:
    """Start the processes, then wait for the first of: the client's end, a word from it, a process's death."""
    plan: dict[str, Any] = json.loads(arguments)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    die_with_parent = _death_signal()
    children = {
        name: _start(command, plan["environment"], os.path.join(plan["folder"], f"{name}.log"), die_with_parent)
        for name, command in plan["commands"].items()
    }
    patience = 0.0
    try:
        died = None
        while died is None:
            ready, _, _ = select.select([0, wake_read], [], [])
            if 0 in ready:
                word = os.read(0, 100)
                patience = plan["patience"] if word.startswith(b"stop") else 0.0
                break
            signals = os.read(wake_read, 100)
            if signal.SIGTERM in signals or signal.SIGINT in signals:
                break
            died = next((name for name, pid in children.items() if _is_dead(pid)), None)
        if died is not None:
            _report(died, plan["folder"])
    finally:
        _end(children, patience)
        shutil.rmtree(plan["folder"], ignore_errors=True)
        # Last, and this program with them: what the calls themselves may have started.
        os.killpg(0, signal.SIGKILL)


def _death_signal() -> Callable[[], None]:
    """What a child calls to be killed with its parent; nothing where the kernel does not offer it."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


_statuses: dict[int, int] = {}


def _start(command: list[str], environment: dict[str, str], log: str, die_with_parent: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execve(command[0], command, environment)
    except BaseException as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def _is_dead(pid: int) -> bool:
    if pid not in _statuses:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            _statuses[pid] = os.waitstatus_to_exitcode(status)
    return pid in _statuses


def _report(name: str, folder: str) -> None:
    with open(os.path.join(folder, f"{name}.log"), errors="replace") as file:
        lines = file.read().splitlines()[-LAST_LINES:]
    line = json.dumps({"process": name, "exit_codes": list(_statuses.values()), "log": lines})
    try:
        os.write(1, line.encode() + b"\n")
    except OSError:
        pass  # The client is gone as well.


def _end(children: dict[str, int], patience: float) -> None:
    """End the worker first, warmly if the client has patience, then the server."""
    if patience and not _is_dead(children["worker"]):
        os.kill(children["worker"], signal.SIGTERM)
        deadline = time.monotonic() + patience
        while not _is_dead(children["worker"]) and time.monotonic() < deadline:
            time.sleep(0.005)
    for pid in children.values():
        if not _is_dead(pid):
            os.kill(pid, signal.SIGKILL)
            _statuses[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1])
