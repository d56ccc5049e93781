"""From marks to the stages of a round trip.

Only one call is on its way at a time, so the marks between its beginning and its end are its own.
The stages of a call begin and end with its marks, one after the other, without gaps. What processes
do beside them, as to acknowledge the message while the client has its value, is a span.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.self.where.marks import Mark, Place, Role

__all__ = [
    "FIRST",
    "SPANS",
    "STAGES",
    "Span",
    "Stage",
    "Taken",
    "cpu_of_spans",
    "middle_half",
    "stages_of_calls",
]


class Stage(NamedTuple):
    """A part of the way of a call.

    Attributes:
        name: Name of its figures.
        where: The processes that are at work.
        title: What happens.
        role: Role of the process in which it ends.
        end: Where it ends; it begins where the stage before it ends.
    """

    name: str
    where: str
    title: str
    role: Role
    end: Place


class Span(NamedTuple):
    """Work of a process that is no stage: another process is at work on the call meanwhile.

    Attributes:
        name: Name of its figure.
        role: Role of the process.
        title: What happens.
        begin: Where it begins.
        end: Where it ends, in the same thread.
    """

    name: str
    role: Role
    title: str
    begin: Place
    end: Place


class Taken(NamedTuple):
    """What a stage of one call took, in nanoseconds.

    Attributes:
        wall: Time that passed.
        cpu: CPU time; None if the stage begins in one thread and ends in another.
    """

    wall: int
    cpu: int | None


FIRST = ("client", Place.CALL_BEGINS)

STAGES = (
    Stage("pickled", "client", "call made, arguments pickled", "client", Place.PICKLED),
    Stage("registered", "client", "registered as pending", "client", Place.REGISTERED),
    Stage(
        "made",
        "client",
        "message made: encoded, signed, base64, JSON",
        "client",
        Place.MESSAGE_MADE,
    ),
    Stage("handed", "client", "commands for Redis packed", "client", Place.SENDING),
    Stage(
        "to_worker",
        "client → Redis → worker",
        "written, taken by Redis, main process woken",
        "main",
        Place.MESSAGE_ARRIVES,
    ),
    Stage("parsed", "worker", "Redis' answer read", "main", Place.MESSAGE_PARSED),
    Stage("admitted", "worker", "gate: opened, decoded, checked", "main", Place.ADMITTED),
    Stage("held", "worker", "kombu's message, recorded as held", "main", Place.HELD),
    Stage("job", "worker", "Celery's request, job pickled", "main", Place.PASSING_ON),
    Stage(
        "to_child",
        "worker → child",
        "written to the pipe, child woken, job unpickled",
        "child",
        Place.JOB_READ,
    ),
    Stage("traced", "child", "Celery's task begins", "child", Place.TASK_BEGINS),
    Stage("opened", "child", "message opened and decoded again", "child", Place.OPENED),
    Stage("prepared", "child", "function found", "child", Place.CALLED),
    Stage("called", "child", "arguments unpickled, function runs", "child", Place.RETURNED),
    Stage("encoded", "child", "value pickled, reply encoded", "child", Place.ENCODED),
    Stage("signed", "child", "reply signed, commands packed", "child", Place.SENDING),
    Stage(
        "to_client",
        "child → Redis → client",
        "written, passed on by Redis, client woken",
        "client",
        Place.REPLY_ARRIVES,
    ),
    Stage("taken", "client", "reply opened and decoded", "client", Place.REPLY_TAKEN),
    Stage("returned", "client", "value returned", "client", Place.CALL_ENDS),
)

SPANS = (
    Span("client_write", "client", "message written to the socket", Place.SENDING, Place.SENT),
    Span("client_answer", "client", "Redis' answer to LPUSH read", Place.SENT, Place.SUBMITTED),
    Span("client_waits", "client", "the reply awaited", Place.SUBMITTED, Place.REPLY_ARRIVES),
    Span("main_write", "main", "job written to the pipe", Place.PASSING_ON, Place.PASSED_ON),
    Span("main_after", "main", "Celery's records of the task", Place.PASSED_ON, Place.MESSAGE_DONE),
    Span(
        "main_results",
        "main",
        "child's reports read, message acknowledged",
        Place.RESULT_BEGINS,
        Place.RESULT_ENDS,
    ),
    Span("main_asks", "main", "next message asked for", Place.ASKS, Place.ASKED),
    Span("main_polls", "main", "sleeping and waking up in epoll", Place.POLLS, Place.POLLED),
    Span("child_write", "child", "reply written to the socket", Place.SENDING, Place.SENT),
    Span("child_after", "child", "Redis' answers read, end reported", Place.SENT, Place.WAITS),
)


def stages_of_calls(marks: Iterable[Mark]) -> list[list[Taken]]:
    """Return what each stage took, for each call that has all marks.

    A call lacks marks if it took another way: its client had to wait for more than a second, say.

    Args:
        marks: Marks of all processes, in the order of time.
    """
    return [taken for call in _calls(marks) if (taken := _stages_of(call)) is not None]


def middle_half(calls: Sequence[Sequence[Taken]]) -> list[Sequence[Taken]]:
    """Return the calls that are neither among the fastest quarter nor among the slowest.

    Medians of stages do not add up to the median of the whole; the means of these calls do.
    """
    ordered = sorted(calls, key=lambda call: sum(stage.wall for stage in call))
    quarter = len(ordered) // 4
    return ordered[quarter : len(ordered) - quarter]


def cpu_of_spans(marks: Iterable[Mark]) -> dict[str, int]:
    """Return the CPU time of all passages of each span, in nanoseconds, by its name.

    Args:
        marks: Marks of all processes, in the order of time.
    """
    found = dict.fromkeys((span.name for span in SPANS), 0)
    begun: dict[tuple[str, int, int], int] = {}
    for mark in marks:
        for span in SPANS:
            if span.role != mark.role:
                continue
            key = span.name, mark.process, mark.thread
            if mark.place is span.end and (cpu := begun.pop(key, None)) is not None:
                found[span.name] += mark.cpu - cpu
            if mark.place is span.begin:
                begun[key] = mark.cpu
    return found


def _calls(marks: Iterable[Mark]) -> Iterator[Sequence[Mark]]:
    call: list[Mark] = []
    for mark in marks:
        if (mark.role, mark.place) == FIRST:
            call = []
        call.append(mark)
        if mark.place is STAGES[-1].end:
            yield call


def _stages_of(call: Sequence[Mark]) -> list[Taken] | None:
    """Return what each stage of a call took; None if it lacks marks."""
    rest = iter(call)
    before = next(rest)
    found = []
    for stage in STAGES:
        mark = next((each for each in rest if (each.role, each.place) == stage[3:]), None)
        if mark is None:
            return None
        is_same = (mark.process, mark.thread) == (before.process, before.thread)
        found.append(Taken(mark.wall - before.wall, mark.cpu - before.cpu if is_same else None))
        before = mark
    return found
