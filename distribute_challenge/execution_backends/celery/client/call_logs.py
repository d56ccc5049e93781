"""What calls print, on its way from a worker's message into futures and onto this process's own
streams.

    reply with lines ──> CallLogs ─┬─> Future.logs
                                   └─> LogPrinter ──> sys.stdout, sys.stderr, logging, warnings

Guarantees: lines of one call are shown in order, once each, and before its future is done, unless
what they are shown on is stuck.
"""

import sys

from distribute_challenge.core.log_lines import decoded
from distribute_challenge.core.messages import Reply
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.log_display import Printout
from distribute_challenge.execution_backends.celery.client.log_printer import LogPrinter

__all__ = ["CallLogs", "is_notebook"]


class CallLogs:
    """Takes in the lines of one client's calls.

    Args:
        printer: Shows them.
    """

    def __init__(self, printer: LogPrinter) -> None:
        self._printer = printer

    def take(self, batch: SentBatch, reply: Reply) -> None:
        """Take lines in.

        Args:
            batch: The message whose calls have printed them.
            reply: The lines.

        Raises:
            ForgedError: They are none.
        """
        known = batch.log_replies = batch.log_replies or {}
        if reply.first < known.get(reply.worker, 0):
            return  # It comes again: the worker did not know that it had arrived.
        known[reply.worker] = reply.first + 1
        calls = batch.calls
        printouts: list[Printout] = []
        source = f"{batch.group.function.name.rpartition('<locals>.')[2]}@{reply.worker}"
        for number, line, facts in decoded(reply.sections[0].blob):
            call = calls[min(number, len(calls) - 1)]
            if not call.task.chunk:
                call.add_log(line)
            if not printouts or printouts[-1].context is not call.context:
                printouts.append(Printout(source, [], call.context))
            printouts[-1].lines.append((line, facts))
        for printout in printouts:
            batch.log_number = self._printer.put(printout)

    def wait_until_shown(self, batch: SentBatch) -> None:
        """Wait until the lines of a message that have come are shown."""
        self._printer.wait(batch.log_number)


def is_notebook() -> bool:
    """Whether a context variable says under which cell the output of a thread appears, as in
    ipykernel.
    """
    return hasattr(sys.stdout, "parent_header")
