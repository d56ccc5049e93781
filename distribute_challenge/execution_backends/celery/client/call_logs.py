"""Takes lines that calls print from replies into futures and onto this process's own streams.

    reply with lines ──> CallLogs ─┬─> Future.logs
                                   └─> LogPrinter ──> sys.stdout, sys.stderr, logging, warnings

Guarantees: lines of one call are shown in order, once each, and before its future is done, unless
the stream that they are shown on is stuck.
"""

import sys

from distribute_challenge.core.log_lines import decoded
from distribute_challenge.core.messages import Reply
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.log_display import Printout
from distribute_challenge.execution_backends.celery.client.log_printer import LogPrinter

__all__ = ["CallLogs", "is_notebook"]


class CallLogs:
    """Stores and shows the lines that one client's calls print; the client's receiver calls it.

    Args:
        printer: Shows the lines.
    """

    def __init__(self, printer: LogPrinter) -> None:
        self._printer = printer

    def take(self, batch: SentBatch, reply: Reply) -> None:
        """Take in the lines of one reply.

        Args:
            batch: The message whose calls have printed the lines.
            reply: The reply that has the lines.

        Raises:
            ForgedError: The reply does not hold lines.
        """
        known = batch.log_replies = batch.log_replies or {}
        if reply.first < known.get(reply.worker, 0):
            return  # The worker sent it again, as it did not know that it had arrived.
        known[reply.worker] = reply.first + 1
        calls = batch.calls
        printouts: list[Printout] = []
        for number, line, facts in decoded(reply.sections[0].blob):
            call = calls[min(number, len(calls) - 1)]
            if not call.task.chunk:
                call.add_log(line)
            source = f"{call.name.rpartition('<locals>.')[2]}@{reply.worker}"
            if (
                not printouts
                or printouts[-1].context is not call.context
                or printouts[-1].source != source
            ):
                printouts.append(Printout(source, [], call.context))
            printouts[-1].lines.append((line, facts))
        for printout in printouts:
            batch.log_number = self._printer.put(printout)

    def wait_until_shown(self, batch: SentBatch) -> None:
        """Wait until all lines of a message that have arrived are shown."""
        self._printer.wait(batch.log_number)


def is_notebook() -> bool:
    """Tell whether a context variable selects the cell that shows output, as in ipykernel."""
    return hasattr(sys.stdout, "parent_header")
