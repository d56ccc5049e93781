"""Sends what calls print, log and warn of to their client, while they run.

    print() ─► LogStream ──────┐
    logging ─► RecordSender ───┼─► CallOutput ─┬─ a thread, every tenth of a second ─┐
    warnings ─► WarningSender ─┘               └─ with the reply ────────────────────┤
                                                          the client's list ◄────────┘

Lines go onto the same list as replies, and come to the client before the reply of their call. Lines
that are unsent when a call ends are sent together with its reply. If a call prints nothing, nothing
is sent and no thread runs.
"""

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Sized
from functools import partial
from typing import Final

import redis
from billiard.process import current_process

from distribute_challenge.core import clock
from distribute_challenge.core.log_lines import encoded
from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.core.section import Section
from distribute_challenge.execution.output import OutputLog, WorkerHandler
from distribute_challenge.execution_backends.celery.broker.keys import REPLY_EXPIRY
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from distribute_challenge.execution_backends.celery.worker.call_output import CallOutput
from distribute_challenge.execution_backends.celery.worker.log_capture import (
    RecordSender,
    WarningSender,
    basic_config,
)
from distribute_challenge.execution_backends.celery.worker.orphans import Clients
from distribute_challenge.execution_backends.celery.worker.replying import send_reply
from distribute_challenge.security import Keyring, Purpose

__all__ = ["LogShipping"]

SEND_EVERY: Final = 0.1  # Seconds.
EMBEDDED: Final = "embedded"  # The name that embedded clusters give their worker.
IDLE_ROUNDS: Final = 20  # Rounds with nothing to send before the thread sleeps; a guess.


class LogShipping:
    """Sends the lines of one child process's calls, for one message at a time; `run_batch` uses it.

    Args:
        output: Takes what the process prints.
        line: A connection other than that of the thread that runs the calls.
        keyring: Signs the replies with lines.
        clients: Tells whether the client is still there.
        is_abandoned: Tells whether the client has left, so that it reads no reply any more.

    Guarantees: ``_sending`` lets one thread at a time take lines and send over ``line``. So lines
    arrive in order, and before the reply that they were sent with. Code that prints does not wait
    for it.
    """

    def __init__(
        self,
        output: OutputLog,
        line: PipelinedConnection,
        keyring: Keyring,
        clients: Clients,
        is_abandoned: Callable[[], bool],
    ) -> None:
        self._output = output
        self._line = line
        self._keyring = keyring
        self._clients = clients
        self._is_abandoned = is_abandoned
        self._batch: Batch | None = None
        self._worker = ""
        self._number = 0
        self._unsent: list[bytes] = []  # Encoded replies with lines,
        self._size = 0  # and the number of characters in them.
        self._client = ""
        self._sending = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._lines = CallOutput(self._wake)
        self._level = self._applied = logging.getLogger().level
        self._records = RecordSender()
        logging.getLogger().addHandler(self._records)
        self._warnings = WarningSender(output, warnings.showwarning)
        warnings.showwarning = self._warnings
        logging.basicConfig = partial(basic_config, logging.basicConfig)
        os.register_at_fork(after_in_child=self._fall_silent)

    def begin(self, batch: Batch, node: str) -> None:
        """Send what the calls of a message print from now on.

        Args:
            batch: The message, of a client that wants what its calls print.
            node: Celery's name of this worker.
        """
        level = batch.logs
        assert level is not None
        self._batch, self._number = batch, 0
        self._worker = self._worker or _label(node, current_process().name)
        self._lines.begin()
        self._output.is_used = False
        if level != self._records.level:
            self._listen_from(level)
        if batch.client != self._client:
            self._client = batch.client
            # A warning that the last client was shown is new to this one: entering this context
            # makes `warnings` forget which warnings it has shown.
            with warnings.catch_warnings():
                pass
        self._output.listener = self._records.sink = self._warnings.sink = self._lines

    def follow(self, ended: Sized) -> None:
        """Set the collection whose length tells which call runs.

        Args:
            ended: Has one item for each call of the message that has ended.
        """
        self._lines.ended = ended

    @property
    def has_printed(self) -> bool:
        """Whether a call of the message has printed anything."""
        return self._output.is_used

    def end_call(self) -> None:
        """Note that a call has ended, and complete its last line.

        The thread that runs the calls calls this.
        """
        self._output.end_lines()
        self._lines.end_call()

    def frames(self) -> list[bytes]:
        """Return the encoded replies that must be sent before the next reply.

        The thread that runs the calls calls this between two calls.
        """
        if self._batch is None:
            return []
        self.end_call()
        with self._sending:
            return self._frames()

    def send_ahead(self, frame: bytes) -> None:
        """Send a reply while a call runs, after the lines that have been printed up to now.

        Another thread than the one that runs the calls calls this.

        Args:
            frame: The encoded reply.
        """
        with self._sending:
            batch = self._batch
            assert batch is not None
            before = self._frames()
            send_reply(self._line, self._keyring, batch.reply_to, frame, before=before)

    def end(self) -> None:
        """End the message.

        Threads that its calls have left running print into the worker's log only.
        """
        if self._batch is not None:
            self._fall_silent()
            with self._sending:
                self._batch = None
                self._sent()
                self._lines.begin()

    def _fall_silent(self) -> None:
        self._output.listener = self._records.sink = self._warnings.sink = None

    def _listen_from(self, level: int) -> None:
        """Have `logging` make records of a level, even if the worker's own log leaves them out."""
        root = logging.getLogger()
        self._records.setLevel(level)
        wanted = min(level, self._level)
        if wanted != self._applied:
            for handler in root.handlers:
                if isinstance(handler, WorkerHandler) and handler is not self._records:
                    handler.setLevel(max(handler.level, self._level))
            root.setLevel(wanted)
            self._applied = wanted

    def _wake(self) -> None:
        if not self._wanted.is_set():
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="distribute_challenge logs", daemon=True
                )
                with contextlib.suppress(RuntimeError):  # The process is ending.
                    self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        idle = 0
        while True:
            self._wanted.wait()
            pause.wait(SEND_EVERY)
            idle = 0 if self._send() else idle + 1
            if idle > IDLE_ROUNDS:
                idle = 0
                self._wanted.clear()
                self._send()  # Lines that came just before `clear` have not woken this thread.

    def _send(self) -> bool:
        """Send the lines that are there; False if there are none."""
        with self._sending:
            batch = self._batch
            self._lines.renew()
            if batch is None or (self._lines.is_empty and not self._unsent):
                return False
            self._make_frame()
            if self._is_abandoned() or self._clients.has_left(batch):
                self._sent()
            else:
                # After an error the replies are sent again, though they may have arrived: the
                # client recognises them by their numbers.
                with contextlib.suppress(redis.RedisError):
                    sealed = [
                        self._keyring.seal(Purpose.reply(batch.reply_to), [frame])
                        for frame in self._unsent
                    ]
                    self._line.send(
                        ("RPUSH", batch.reply_to, *sealed), ("EXPIRE", batch.reply_to, REPLY_EXPIRY)
                    )
                    self._line.settle()
                    self._sent()
            return True

    def _frames(self) -> list[bytes]:
        self._make_frame()
        return self._sent()

    def _make_frame(self) -> None:
        batch, entries = self._batch, self._lines.taken()
        assert batch is not None
        if entries:
            section = Section("log", len(entries), encoded(entries))
            reply = Reply(
                batch.id,
                self._worker,
                clock.now(),
                first=self._number,
                sections=[section],
                ended=False,
            )
            self._number += 1
            self._unsent.append(reply.encode())
            self._size += sum(len(entry.line.text) + 1 for entry in entries)

    def _sent(self) -> list[bytes]:
        frames, self._unsent = self._unsent, []
        size, self._size = self._size, 0
        self._lines.sent(size)
        return frames


def _label(node: str, process: str) -> str:
    """Return a short name of a child process, with the number that it has in its worker's log.

    Args:
        node: Celery's name of the worker.
        process: Billiard's name of the process.

    Examples:
        >>> _label("embedded@vm", "ForkPoolWorker-2"), _label("gpu@vm", "ForkPoolWorker-13")
        ('worker-2', 'vm/gpu-13')
    """
    name, _, host = node.partition("@")
    number = process.rpartition("-")[2]
    return f"worker-{number}" if name == EMBEDDED else f"{host}/{name}-{number}"
