"""The program of a pool's process: it runs calls from its connection until the pool closes that.

Guarantees: the process ends with the process that has started it, however that ends. The processes
that its calls have started end, too, unless they are in a session of their own.
"""

import atexit
import faulthandler
import fcntl
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from multiprocessing.process import AuthenticationString  # type: ignore[attr-defined]
from typing import Any

from distribute_challenge.execution.descendants import bind_descendants, kill_descendants
from distribute_challenge.execution.end_signals import OrderlyEnd
from distribute_challenge.execution.function_cache import FunctionCache
from distribute_challenge.execution.interruption import Interruption
from distribute_challenge.execution.process_state import ProcessState, is_spoilt
from distribute_challenge.execution.run import become_worker, execute
from distribute_challenge.execution.surroundings import Surroundings
from distribute_challenge.execution_backends.frames import process_name
from distribute_challenge.execution_backends.pools.call_record import CallRecord
from distribute_challenge.execution_backends.pools.process import ANSWER, CALL, READY
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter

__all__ = ["main"]


def main(connection: Connection, setup: Mapping[str, Any]) -> None:
    """Run calls until the pool closes the connection.

    Args:
        connection: The connection to the pool.
        setup: The pool's settings for this process (`process.WorkerProcess`).
    """
    os.set_inheritable(connection.fileno(), False)
    # A fork that a call makes must not keep the connection open: the pool takes its end as the end
    # of this process.
    os.register_at_fork(after_in_child=connection.close)
    _end_with_parent()
    # The pool reads this file when this process has crashed.
    faulthandler.enable(os.fdopen(setup["crash"], "w"))
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["authkey"] = AuthenticationString(bytes.fromhex(setup["authkey"]))
    become_worker()
    Surroundings(*setup["surroundings"]).apply()
    bind_descendants()
    # Runs before `multiprocessing` waits for child processes that are no daemons.
    atexit.register(kill_descendants)
    end = OrderlyEnd()
    end.listen(signal.SIGINT)
    calls = _Calls(CallRecord(setup["record"]), end, process_name(setup["kind"]))
    connection.send_bytes(READY)
    try:
        while calls.run_next(connection):
            pass
    except SystemExit:
        # At once: the interpreter may wait for threads, and what the pool sends meanwhile is to run
        # in another process.
        connection.close()
        raise


class _Calls:
    """Runs the calls of this process, and keeps its state between them; `main` makes one.

    Args:
        record: Says which call is to stop, and is told which one has begun.
        end: Ends the process between two calls.
        name: Name of the process, for timelines.
    """

    def __init__(self, record: CallRecord, end: OrderlyEnd, name: str) -> None:
        self._record = record
        self._end = end
        self._name = name
        self._payloads: dict[str, bytes] = {}
        self._is_missing = False
        self._functions = FunctionCache(self._payload, ProjectImporter())
        self._interruption = _CallInterruption(record)
        self._interruption.listen()
        self._state = (
            ProcessState()
        )  # Made last, because the signal handler just installed is part of this state.

    def run_next(self, connection: Connection) -> bool:
        """Wait for a call, run it and answer; False: the pool wants no more.

        Raises:
            SystemExit: A signal has told this process to end.
        """
        try:
            number, frame = self._end.wait(partial(self._next_call, connection))
        except EOFError:
            return False
        self._interruption.begin(number)
        self._record.begin(number)
        calls = execute(
            frame, self._functions, self._name, interruption=self._interruption, process=self._state
        )
        frames = list(calls)
        if self._is_missing:
            frames.clear()
        self._is_missing = False
        self._payloads.clear()  # Loaded by now, if it was needed.
        connection.send_bytes(ANSWER.pack(len(frames), is_spoilt() or self._end.is_told))
        for each in frames:
            connection.send_bytes(each)
        return True

    def _next_call(self, connection: Connection) -> tuple[int, bytes]:
        number, with_payload = CALL.unpack(connection.recv_bytes())
        if with_payload:
            payload = connection.recv_bytes()
            self._payloads[sha256(payload).hexdigest()] = payload
        return number, connection.recv_bytes()

    def _payload(self, digest: str) -> bytes | None:
        payload = self._payloads.get(digest)
        self._is_missing = payload is None
        return payload


class _CallInterruption(Interruption):
    """Checks in the record whether the call that the process runs has to stop."""

    def __init__(self, record: CallRecord) -> None:
        super().__init__(lambda _: record.is_unwanted(self._call), lambda _: None)
        self._call = 0

    def begin(self, number: int) -> None:
        self._call = number


def _end_with_parent() -> None:
    """Have the kernel kill this process and its group when the lifeline closes.

    The lifeline is standard input. The kernel does it, because a thread of this process could not:
    a call in C code may hold the interpreter lock, and a fork warns if there are threads.
    """
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.register_at_fork(after_in_child=lambda: os.close(lifeline))
    if hasattr(fcntl, "F_SETSIG"):  # pragma: no branch
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([lifeline], [], [], 0.0)[
            0
        ]:  # pragma: no cover - it was closed before; happens once in a thousand starts
            os.killpg(0, signal.SIGKILL)
    else:  # pragma: no cover - on macOS
        threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True).start()


def _wait_for_end(lifeline: int) -> None:  # pragma: no cover - on macOS
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)
