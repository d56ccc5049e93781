"""The client's handle on an embedded cluster: starts it, checks that it lives, and ends it."""

import contextlib
import errno
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path

from distribute_challenge.cluster import supervisor
from distribute_challenge.cluster.redis_server import server_command, server_program
from distribute_challenge.core import clock
from distribute_challenge.core.units import amount
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution.surroundings import Surroundings, interpreter_flags
from distribute_challenge.security import new_secret
from distribute_challenge.settings import patience

__all__ = ["EmbeddedCluster"]

START_DEADLINE = 30.0  # Seconds for the Redis server to answer; it takes hundredths of one.
LONGEST_SOCKET_PATH = 100  # Bytes; the kernel's limit is 108 on Linux and 104 on macOS.
WORKER_MODULE = "distribute_challenge.execution_backends.celery.worker.main"
_FULL = os.strerror(errno.ENOSPC)
_MAKE_ROOM = "Make room there, or name another folder in the variable TMPDIR"
PATHS_VARIABLE = "DISTRIBUTE_CHALLENGE_PATHS"  # Read by that module.
SURROUNDINGS_VARIABLE = "DISTRIBUTE_CHALLENGE_SURROUNDINGS"  # Read by the worker's children.


class EmbeddedCluster:
    """A private Redis server and a Celery worker on this machine, which a backend starts and ends.

    Other processes of this user may use it, too, if they know its address.

    Args:
        workers: Number of child processes at the start.

    Attributes:
        workers: As given.
        folder: The private folder of its files; None while it is not running.

    Guarantees:

    - No other user can reach it: the server listens on a Unix socket in a folder that only this
      user can enter. Its secret lies there, too (`security.sources`), so that other processes of
      this user can join by the address alone.
    - It ends with the process that started it, however that process ends; see `supervisor`. A
      forked child of that process can neither end it nor keep it alive.
    - ``_lock`` protects the report of a death, which `check` reads only once from the supervisor.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._death: str | None = None
        self._lock = threading.Lock()

    @property
    def broker_url(self) -> str:
        """Address of its broker, as Celery and this library take it.

        Raises:
            ClusterStartError: It is not running.
        """
        return _address(self._running_folder())

    def facts(self) -> list[str]:
        """Return its size, and its state as far as it is known.

        While it runs, its address and the path of its log follow.
        """
        size, folder = amount(self.workers, "worker"), self.folder
        if folder is None:
            return [size, "not running"]
        state = "running" if self._death is None else "died"
        return [size, state, _address(folder), str(folder / "worker.log")]

    def start(self) -> None:
        """Start its processes, without waiting for them.

        Raises:
            ClusterStartError: No Redis server is installed, or no folder for temporary files can be
                written to.
        """
        program, seconds = server_program(), patience()
        folder = self.folder = _private_folder()
        self._owner, self._death = os.getpid(), None
        flags = interpreter_flags()
        worker = [
            sys.executable,
            *flags,
            "-P",
            "-m",
            WORKER_MODULE,
            self.broker_url,
            str(self.workers),
            "embedded",
        ]
        plan = {
            "folder": str(folder),
            "commands": {"redis": server_command(program, folder), "worker": worker},
            "patience": seconds,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(supervisor.__file__), json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Not in the plan: a command line can be read by every user of this machine.
            env={
                **os.environ,
                PATHS_VARIABLE: json.dumps([path for path in sys.path if path]),
                SURROUNDINGS_VARIABLE: json.dumps(Surroundings.of_this_process()),
                supervisor.SECRET_VARIABLE: new_secret(),
            },
            # In its own session, so that the terminal's Ctrl+C reaches only the client.
            start_new_session=True,
        )
        _started.add(self)

    def wait_until_reachable(self) -> None:
        """Wait until its broker answers; the worker may still be starting.

        Raises:
            ClusterStartError: It died, or does not answer in time. The message has its last log
                lines.
        """
        path = str(self._running_folder() / "redis.sock")
        deadline = clock.monotonic() + START_DEADLINE
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(path) == 0:
                    return
            self.check()
            if clock.monotonic() > deadline:
                raise ClusterStartError(
                    f"the embedded cluster's Redis server did not answer within {START_DEADLINE:g} "
                    f"s:\n{self.log('redis')}"
                )
            time.sleep(0.002)

    def check(self) -> None:
        """Check that the cluster is running.

        Raises:
            ClusterStartError: It is not running, or one of its processes has died.
        """
        folder = self._running_folder()
        if os.getpid() != self._owner:
            if not folder.exists():
                raise ClusterStartError(
                    "the embedded cluster has ended with the process that started it"
                )
            return
        with self._lock:
            # Another thread may have closed the cluster meanwhile, or read the report.
            if self._death is None and self._process is not None:
                self._death = _death_of(self._process, folder)
            if self._death is not None:
                raise ClusterStartError(self._death)

    def log(self, process: str = "worker") -> str:
        """Return what a process has written to its log so far.

        Args:
            process: ``"worker"`` or ``"redis"``.

        Returns:
            The text; empty if the cluster is not running.
        """
        if self.folder is None:
            return ""
        path = self.log_file(process)
        return path.read_text(errors="replace") if path.exists() else ""

    def log_file(self, process: str = "worker") -> Path:
        """Return the path of a process's log.

        Args:
            process: ``"worker"`` or ``"redis"``.

        Raises:
            ClusterStartError: The cluster is not running.
        """
        return self._running_folder() / f"{process}.log"

    def close(self) -> None:
        """End all its processes and remove its folder. Running calls are lost."""
        with self._lock:
            process, self._process = self._process, None
            folder, self.folder = self.folder, None
        if process is None:
            return
        assert folder is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(b"stop")
            process.stdin.close()
        except BrokenPipeError:
            pass  # It has ended by itself.
        process.stdout.read()  # Until it ends.
        process.stdout.close()
        # A supervisor that was killed has not done this. Its process id is not used again before
        # `wait`.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)

    def _running_folder(self) -> Path:
        if self.folder is None:
            raise ClusterStartError(
                "this cluster is not running: it has not been started, or it has been closed"
            )
        return self.folder

    def _forget(self) -> None:
        """In the child of a fork: close the lifeline, or the cluster would outlive the parent."""
        process, self._process = self._process, None
        self._lock = threading.Lock()
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()


def _address(folder: Path) -> str:
    return f"redis+socket://{folder}/redis.sock"


def _private_folder() -> Path:
    """Return the path of a new folder, which is fit for a URL and short enough for a socket in it.

    The supervisor makes the folder.
    """
    name = f"distribute_challenge-{secrets.token_hex(8)}"
    try:
        folder = Path(tempfile.gettempdir(), name).absolute()
    except FileNotFoundError as error:
        raise ClusterStartError(
            f"the embedded cluster needs a folder for temporary files ({error}). {_MAKE_ROOM}"
        ) from None
    if len(os.fsencode(folder / "redis.sock")) > LONGEST_SOCKET_PATH or set("?#%@;") & set(
        str(folder)
    ):
        folder = Path("/tmp", name)
    return folder


def _death_of(process: "subprocess.Popen[bytes]", folder: Path) -> str | None:
    """What the supervisor says of a process that died, or the same of itself; None while all live.

    Args:
        process: The supervisor.
        folder: The cluster's.
    """
    assert process.stdout is not None
    waiting = select.poll()
    waiting.register(process.stdout, select.POLLIN)
    if not waiting.poll(0):
        return None
    line = process.stdout.readline()
    if not line:
        return "the embedded cluster's supervisor was killed, and the cluster with it"
    report = json.loads(line)
    if reason := report.get("unusable"):
        return f"the embedded cluster cannot use {folder.parent}, the folder for temporary files: {reason}. {_MAKE_ROOM}"
    lines = [f"    {line}" for line in report["log"]]
    if any(_FULL in line for line in lines):
        lines.append(f"The folder for temporary files, {folder.parent}, is full. {_MAKE_ROOM}")
    return "\n".join(
        [
            (
                f"the embedded cluster's {report['process']} process died (exit code "
                f"{report['exit_code']}); its last lines:"
            ),
            *lines,
        ]
    )


_started: "weakref.WeakSet[EmbeddedCluster]" = weakref.WeakSet()


def _forget_all() -> None:
    for cluster in list(_started):
        cluster._forget()


os.register_at_fork(after_in_child=_forget_all)
