"""Sends orders to another process, and receives its answers.

Each order is a line of JSON on the other process's standard input, and each answer is a line of
JSON on its standard output.
"""

import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Dialogue", "SessionError"]


class SessionError(Exception):
    """The other process died, or did not answer within the deadline."""


class Dialogue:
    """This process's end of a dialogue with another process.

    Args:
        process: The other process, started with unbuffered pipes for standard input and output; it
            answers each order with a line.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._received = b""

    def ask(self, order: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Send an order and wait for its answer.

        Args:
            order: An order that the other process understands.
            deadline: Seconds to wait for the answer.

        Raises:
            SessionError: No answer within the deadline, or the process died.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # The process is dead; reading reports it.
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return self.listen(deadline)

    def listen(self, deadline: float) -> dict[str, Any]:
        """Wait for the next answer.

        Args:
            deadline: Seconds to wait.

        Raises:
            SessionError: No answer within the deadline, or the process died.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + deadline
        while b"\n" not in self._received:
            ready, _, _ = select.select(
                [self._process.stdout], [], [], max(0.0, end - time.monotonic())
            )
            if not ready:
                raise SessionError(f"no answer within {deadline:g} s")
            received = os.read(self._process.stdout.fileno(), 65536)
            if not received:
                raise SessionError(f"the process died with exit code {self._process.wait()}")
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
