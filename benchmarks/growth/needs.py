"""Computes what large clusters need of Redis, from what small ones were measured to need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

from benchmarks.growth.standing import Standing
from distribute_challenge.core.batching import window
from distribute_challenge.execution_backends.celery.client.lost_messages import MOST_ENTRIES

__all__ = [
    "CHILDREN",
    "CLIENTS",
    "DURATIONS",
    "MANY_WAIT_FOR",
    "PROCESSES",
    "SENDERS",
    "Message",
    "Needs",
    "Waiting",
    "needs",
    "seconds_for_an_entry",
    "waiting",
]

PROCESSES = (1_000, 10_000)  # Worker processes: child processes of all workers,
CHILDREN = 16  # so many of each worker, as on machines with 16 cores.
CLIENTS = 100
MANY_WAIT_FOR = (100, *PROCESSES)  # Worker processes for which more calls wait than they can run,
SENDERS = (1, 10, 100)  # and clients that make these calls.
DURATIONS = (10.0, 1.0, 0.1)  # Seconds of a call; each is a message of its own.


@dataclass(frozen=True)
class Message:
    """What a message with one call, and its reply, ask of Redis.

    Attributes:
        commands: Commands, those in scripts included.
        received: Bytes that Redis reads.
        sent: Bytes that Redis writes.
        cpu: CPU seconds of Redis.
    """

    commands: float
    received: float
    sent: float
    cpu: float

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> "Message":
        """Return that of calls one by one.

        Args:
            figures: `measuring.Figures`, as plain values.
        """
        calls = figures["calls"]
        return cls(
            figures["commands"] / calls,
            figures["received"] / calls,
            figures["sent"] / calls,
            figures["busy"]["redis"] / calls,
        )


@dataclass(frozen=True)
class Needs:
    """What a cluster needs of Redis.

    Attributes:
        connections: Connections.
        messages: Messages a second, each with one call.
        commands: Commands a second.
        received: Bytes a second that Redis reads.
        sent: Bytes a second that Redis writes.
        cores: Cores of Redis for the messages; it runs commands on one.
    """

    connections: float
    messages: float
    commands: float
    received: float
    sent: float
    cores: float


def needs(
    each: Mapping[str, Standing],
    message: Message,
    *,
    workers: int,
    children: int,
    clients: int,
    duration: float | None,
) -> Needs:
    """Compute what a cluster needs.

    Args:
        each: What `standing.each` returned.
        message: What each message asks for.
        workers: Workers: main processes.
        children: Child processes of each.
        clients: Clients.
        duration: Seconds of a call, of which each child process always runs one; None: nothing
            runs.
    """

    def standing(name: str) -> float:
        alone = {kind: max(0.0, getattr(found, name)) for kind, found in each.items()}
        total: float = (
            workers * alone["worker"]
            + workers * children * alone["child"]
            + clients * alone["client"]
            + workers * clients * alone["pair"]
        )
        return total

    messages = 0.0 if duration is None else workers * children / duration
    return Needs(
        connections=standing("connections"),
        messages=messages,
        commands=standing("commands") + messages * message.commands,
        received=standing("received") + messages * message.received,
        sent=standing("sent") + messages * message.sent,
        cores=messages * message.cpu,
    )


@dataclass(frozen=True)
class Waiting:
    """What it costs that messages wait in a queue, as clients have more calls than workers run.

    Attributes:
        queued: Messages in the queue.
        memory: Bytes of them.
        asked: How often a second clients ask whether a worker has a message.
        looked: Messages that each client looks for in a second.
        cores: Cores of Redis that asking and looking take.
    """

    queued: float
    memory: float
    asked: float
    looked: int
    cores: float


def waiting(search: Sequence[Mapping[str, float]], *, processes: int, clients: int) -> Waiting:
    """Compute what it costs that messages of long calls wait.

    Each client has as many messages out as it may, asks once a second which of them workers have,
    and looks for the oldest of the others in the queue, as far as its share of entries goes.

    Args:
        search: What `search.measured` returned, for several queues.
        processes: Worker processes, each of which has a message.
        clients: Clients.
    """
    out = window(processes)
    queued = max(0.0, clients * out - processes)
    # Long queues take more for each entry, as they do not fit into the processor's cache: the
    # measured queue that is most like this one counts.
    nearest = min(search, key=lambda point: abs(log(point["messages"]) - log(queued + 1)))
    # The messages of all clients take turns in the queue. So a client's messages are this far from
    # each other, and all clients have the same share.
    most = int(min(nearest["most"], queued / clients))
    looked = min(most, int((sqrt(1 + 8 * MOST_ENTRIES / clients**2) - 1) / 2))
    entries = clients * clients * looked * (looked + 1) / 2
    asked = float(clients * out)
    return Waiting(
        queued=queued,
        memory=queued * nearest["bytes"],
        asked=asked,
        looked=looked,
        cores=asked * nearest["ask"] / 1e6 + entries * seconds_for_an_entry(nearest),
    )


def seconds_for_an_entry(point: Mapping[str, float]) -> float:
    """Return the CPU time of Redis for each entry of a queue that it goes through.

    Args:
        point: What `search.measured` returned. Its messages are in the middle, on average.
    """
    return point["microseconds"] / (point["messages"] / 2) / 1e6
