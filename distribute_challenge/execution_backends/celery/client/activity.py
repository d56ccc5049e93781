"""What a client does, for its reports to a dashboard; recorded while one watches.

    Receiver ──► Activity ──► Heartbeat, once a second ──► the stream of reports

Only the client knows how its calls end: a message may hold many calls, and a worker may give some
of them back.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from distribute_challenge.core import clock
from distribute_challenge.core.messages import Reply
from distribute_challenge.core.outcome import UNBEGUN, Failure
from distribute_challenge.core.running_graphs import RunningGraph, ended_graphs_of, graphs_of
from distribute_challenge.core.running_maps import (
    MOST_ENDED,
    EndedMap,
    RunningMap,
    ended_maps_of,
    maps_of,
)
from distribute_challenge.execution_backends.celery.broker.reports import (
    ClientReport,
    FunctionReport,
    GraphReport,
    MapReport,
)
from distribute_challenge.execution_backends.celery.client.calls import SentBatch
from distribute_challenge.execution_backends.celery.client.graph_calls import GraphCalls
from distribute_challenge.execution_backends.celery.client.outbox import Group

__all__ = ["Activity"]

MOST_FUNCTIONS: Final = 200  # In one report; those with most to do come first.
MOST_MAPS: Final = 50  # In one report; the latest.
MOST_GRAPHS: Final = 50
MOST_LATENCIES: Final = 200  # Of one second: enough for a percentile.


class Activity:
    """Records what one client does, while it is watched.

    Guarantees: one thread records and reports at a time, except that a caller which waits at a
    reply list of its own records, too; a figure may then miss a call, and nothing else happens.

    Args:
        sender: The client, as its maps and graphs know it.

    Attributes:
        is_watched: Whether a dashboard watches. If not, nothing is to be recorded.
        sender: As given.
        graph_calls: Counts the unfinished calls of graphs.
    """

    def __init__(self, sender: object) -> None:
        self.sender = sender
        self.is_watched = False
        self.graph_calls = GraphCalls(sender)
        # Maps and graphs that are known to have ended.
        self._told: deque[int] = deque(maxlen=MOST_ENDED)
        self._told_graphs: deque[int] = deque(maxlen=MOST_ENDED)
        self._forget()

    def _forget(self) -> None:
        # By function and queue: calls that ended, those of them that failed, seconds.
        self._ended: dict[tuple[str, str], list[float]] = {}
        self._latencies: deque[float] = deque(maxlen=MOST_LATENCIES)

    def watch(self, is_watched: bool) -> None:
        """Begin to record, or stop and forget.

        Args:
            is_watched: Whether a dashboard watches.
        """
        if is_watched != self.is_watched:
            self._forget()
            self.graph_calls.forget()
            self.is_watched = is_watched

    def answered(
        self, batch: SentBatch, reply: Reply, outcomes: Sequence[Any], received: float
    ) -> None:
        """Record the outcomes of single calls.

        Args:
            batch: Their message.
            reply: The reply that brought them.
            outcomes: They.
            received: When it came, in seconds since the epoch.
        """
        first, finishes = reply.first, reply.finishes
        for group, begin, end in batch.groups(first, first + len(outcomes)):
            own = outcomes[begin - first : end - first]
            start = finishes[begin - first - 1] if begin > first else reply.started
            self._add(group, own, finishes[end - first - 1] - start, is_plain=_is_plain(reply))
        if reply.ended:
            self._latencies.append(received - batch.sent)

    def chunk_answered(
        self, batch: SentBatch, reply: Reply, outcomes: Sequence[Any], received: float
    ) -> None:
        """Record the outcomes of calls of a map.

        Args:
            batch: Their message.
            reply: The last of the replies that brought them.
            outcomes: They.
            received: When it came, in seconds since the epoch.
        """
        # If there were earlier replies, it is not known what they had.
        is_plain = not reply.first and _is_plain(reply)
        self._add(batch.group, outcomes, reply.finishes[-1] - reply.started, is_plain=is_plain)
        self._latencies.append(received - batch.sent)

    def failed(self, group: Group, calls: int) -> None:
        """Record calls that have failed without an outcome, as those of a process that died.

        Args:
            group: Their group.
            calls: Number of them.
        """
        ended = self._ended_of(group)
        ended[0] += calls
        ended[1] += calls

    def _ended_of(self, group: Group) -> list[float]:
        return self._ended.setdefault((group.function.name, group.options.queue), [0, 0, 0.0])

    def _add(self, group: Group, outcomes: Sequence[Any], took: float, *, is_plain: bool) -> None:
        failed = unbegun = 0
        if not is_plain:  # There may be a million of them, each of which takes as long as a call.
            failed = sum(type(each) is Failure for each in outcomes)
            unbegun = sum(each is UNBEGUN for each in outcomes)
        if len(outcomes) > unbegun:
            ended = self._ended_of(group)
            ended[0] += len(outcomes) - unbegun
            ended[1] += failed
            ended[2] += max(0.0, took)

    def report(
        self, name: str, now: float, calls: Mapping[tuple[str, str], tuple[int, int]]
    ) -> ClientReport:
        """Return what has happened since the last report.

        Args:
            name: Id of the client.
            now: The time by Redis' clock.
            calls: Its unfinished calls, as `PendingCalls.by_function` counts them.
        """
        ended, latencies = self._ended, self._latencies
        held = self.graph_calls.held
        self._forget()
        functions = []
        for which in {**calls, **held, **ended}:
            waiting, out = calls.get(which, (0, 0))
            waiting += held[which]
            done, failed, took = ended.get(which, (0, 0, 0.0))
            functions.append(FunctionReport(*which, waiting, out, int(done), int(failed), took))
        functions.sort(key=lambda row: -(row.waiting + row.out + row.done))
        maps = []
        for number, over in ended_maps_of(self.sender):
            if number not in self._told:
                maps.append(_reported(number, over, is_open=False))
                self._told.append(number)
        # Last, as the first ones are left out if there are too many.
        maps += [_reported(*one, is_open=True) for one in maps_of(self.sender)]
        told = self._told_graphs
        known = [each for each in ended_graphs_of(self.sender) if each.number not in told]
        told.extend(graph.number for graph in known)
        known += graphs_of(self.sender)
        graphs = [self._of_graph(graph, now) for graph in known]
        return ClientReport(
            name=name,
            seen=now,
            functions=functions[:MOST_FUNCTIONS],
            maps=maps[-MOST_MAPS:],
            graphs=graphs[-MOST_GRAPHS:],
            latencies=list(latencies),
        )

    def _of_graph(self, graph: RunningGraph, now: float) -> GraphReport:
        is_open = graph.ended is None
        ended = clock.monotonic() if graph.ended is None else graph.ended
        return GraphReport(
            graph.number,
            graph.name,
            graph.calls,
            graph.unsent + self.graph_calls.waiting[graph.number] if is_open else 0,
            graph.out + self.graph_calls.out[graph.number] if is_open else 0,
            graph.results,
            graph.failed,
            graph.cancelled,
            now - (clock.monotonic() - graph.began),
            ended - graph.began,
            is_open,
        )


def _reported(number: int, one: RunningMap | EndedMap, *, is_open: bool) -> MapReport:
    total = -1 if one.total is None else one.total
    return MapReport(number, one.name, total, one.done, one.failed, is_open)


def _is_plain(reply: Reply) -> bool:
    """Whether a reply has only outcomes that are built-in values, so that no call has failed."""
    return all(section.kind in ("values", "plain") for section in reply.sections)
