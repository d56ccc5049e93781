"""The pool's end of one of its processes: starts it, sends it calls, and reports how it ended.

    pool ── number, payload of the function if it is new there, frame of the task ──► process
         ◄── reply frames ───────────────────────────────────────────────────────────
         ── lifeline, a pipe without data ──► when it closes, the kernel kills the process and
                                              the processes that its calls have started

The process is a new interpreter in its own session, so the terminal's Ctrl+C does not reach it.
Only bytes travel: values are pickled and unpickled as on every engine.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any, Final

from distribute_challenge.core.messages import FunctionPayload
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution.interruption import LOOK
from distribute_challenge.execution.surroundings import Surroundings, interpreter_flags
from distribute_challenge.execution_backends.frames import worker_name
from distribute_challenge.execution_backends.pools.call_record import CallRecord, nameless_file
from distribute_challenge.execution_backends.tried_call import ProcessEnd

__all__ = ["ANSWER", "CALL", "READY", "ProcessEndedError", "WorkerProcess"]

READY: Final = b"ready"
CALL: Final = struct.Struct(
    "<q?"
)  # A call's number, and whether the payload of its function comes first.
# How many reply frames come (none: the payload is missing), and whether the process has to be
# replaced.
ANSWER: Final = struct.Struct("<I?")

# Seconds that an idle process has to end in order, and to run its `atexit` functions.
END_WITHIN = 1.0
MOST_CRASH = 20_000  # Bytes of Python's report of a crash.

# The path is set first, as the library may lie in a folder that the program has added to it.
BOOTSTRAP: Final = """
import json, sys
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
setup = json.loads(connection.recv_bytes())
sys.path[:], sys.argv = setup["path"], setup["argv"]
from distribute_challenge.execution_backends.pools.worker import main
main(connection, setup)
"""


class ProcessEndedError(Exception):
    """Raised when the process is gone, or was killed because it ignored a time limit.

    Attributes:
        end: How it ended.
    """

    def __init__(self, end: ProcessEnd) -> None:
        super().__init__(end.text)
        self.end = end


class WorkerProcess:
    """One process of the pool, from its start to its end; a worker's runner has one.

    Only the runner's thread calls `run` and `close`. Any thread may call the other methods while
    the process is not closed.

    Args:
        surroundings: The settings that the script has made in its own process.
        kind: Name of the engine, for the names of processes.

    Attributes:
        is_spoilt: Whether the process is to be replaced: a call has changed what could not be put
            back, or a signal has told the process to end.
    """

    is_spoilt = False

    def __init__(self, surroundings: Surroundings, kind: str = "processes") -> None:
        self._kind = kind
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        self._record = CallRecord()
        self._crash = nameless_file()  # Open for as long as the process.
        descriptors = theirs.fileno(), self._record.descriptor, self._crash
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *interpreter_flags(), "-P", "-c", BOOTSTRAP, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=descriptors,
                start_new_session=True,
            )
        self._number = 0
        self._known: set[str] = set()
        self._is_ready = False
        self._setup = json.dumps(
            {
                "path": [path for path in sys.path if isinstance(path, str)],
                "argv": sys.argv,
                # Proxies of a `multiprocessing` manager in the client need this key in a call.
                "authkey": bytes(multiprocessing.current_process().authkey).hex(),
                "surroundings": surroundings,
                "kind": kind,
                "record": self._record.descriptor,
                "crash": self._crash,
            }
        ).encode()

    def has_ended(self) -> bool:
        """Whether the process has ended by itself, or was killed."""
        return self._process.poll() is not None

    def begin(self) -> None:
        """Let `interrupt` refer to the next call of `run` from now on."""
        self._number += 1

    def run(self, function: FunctionPayload, frame: bytes, limit: float | None) -> list[bytes]:
        """Run a task in the process.

        Args:
            function: The task's function.
            frame: The task.
            limit: Seconds after which the process is killed; None: never.

        Returns:
            Reply frames.

        Raises:
            ProcessEndedError: The process is gone.
            ClusterStartError: The process did not start.
        """
        self._wait_until_ready()
        was_slow = False
        try:
            self._send(function, frame, with_payload=function.digest not in self._known)
            frames = self._answer(limit)
            if (
                not frames
            ):  # The process has dropped the function, because it has had many others since.
                self._send(function, frame, with_payload=True)
                frames = self._answer(limit)
        except TimeoutError:
            was_slow = True
        except (EOFError, OSError):
            pass
        else:
            self._known.add(function.digest)
            return frames
        self.kill()
        text, facts = self._end()
        if was_slow:
            text = "it did not react when its time was over, so its process was killed"
        has_begun = self._record.has_begun(self._number)
        raise ProcessEndedError(ProcessEnd(self.name, text, facts, has_begun, was_slow))

    def interrupt(self) -> None:
        """Stop the call that the process runs, or the one that it is about to get."""
        self._record.stop(self._number)
        with contextlib.suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.kill(self._process.pid, LOOK)

    def kill(self) -> None:
        """Kill the process, and the processes that its calls have started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Tell the process to end when it has no call, without waiting for that."""
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(self._connection.fileno())) as ours,
        ):
            ours.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        self.end()
        with contextlib.suppress(EOFError, OSError):
            if self._is_ready and self._connection.poll(END_WITHIN):
                # No message comes: the process closes the connection when it ends.
                self._connection.recv_bytes()
        self.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Close this process's ends of the connection, of the files, and of the lifeline.

        A child process calls it after a fork, because its copy of the lifeline would outlive the
        parent.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._connection.close()
        self._record.close()
        os.close(self._crash)

    @property
    def name(self) -> str:
        """Its name, as in a `Timeline`."""
        return worker_name(self._kind, self._process.pid)

    def _wait_until_ready(self) -> None:
        if self._is_ready:
            return
        try:
            self._connection.send_bytes(self._setup)
            self._connection.recv_bytes()
        except (EOFError, OSError):
            text, facts = self._end()
            if "signal" in facts:
                end = ProcessEnd(self.name, text, facts, has_begun=False, was_slow=False)
                raise ProcessEndedError(end) from None
            raise ClusterStartError(
                f"a process of the pool did not start: {text}; see what it has written"
            ) from None
        self._is_ready = True

    def _send(self, function: FunctionPayload, frame: bytes, *, with_payload: bool) -> None:
        self._connection.send_bytes(CALL.pack(self._number, with_payload))
        if with_payload:
            self._connection.send_bytes(function.payload)
        self._connection.send_bytes(frame)

    def _answer(self, limit: float | None) -> list[bytes]:
        if limit is not None and not self._connection.poll(limit):
            raise TimeoutError
        count, self.is_spoilt = ANSWER.unpack(self._connection.recv_bytes())
        return [self._connection.recv_bytes() for _ in range(count)]

    def _end(self) -> tuple[str, dict[str, Any]]:
        """Return how the process ended, as text and as facts."""
        code = self._process.wait()
        facts: dict[str, Any] = {"host": socket.gethostname(), "pid": self._process.pid}
        try:
            facts["signal"] = signal.Signals(-code).name
        except ValueError:
            facts["exit_code"] = code
        if crash := os.pread(self._crash, MOST_CRASH, 0).decode(errors="replace"):
            facts["crash"] = crash
        how = f"signal {facts['signal']}" if "signal" in facts else f"exit code {code}"
        return f"its process died ({how})", facts
