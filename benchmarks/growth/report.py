"""Writes the figures as Markdown tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.growth import limits
from benchmarks.growth.needs import (
    CHILDREN,
    CLIENTS,
    DURATIONS,
    MANY_WAIT_FOR,
    PROCESSES,
    SENDERS,
    Message,
    needs,
    seconds_for_an_entry,
    waiting,
)
from benchmarks.growth.standing import Standing, StandingSetting, each
from benchmarks.growth.sweeps import SWEEPS, Sweep
from benchmarks.machine import in_a_line
from benchmarks.markdown import markdown_table, number
from distribute_challenge.core.units import MEMORY_UNITS, fitting, memory, seconds
from distribute_challenge.execution_backends.celery.client.lost_messages import MOST_ENTRIES

__all__ = ["as_markdown", "value_text"]

ONE_MORE = {
    "worker": "worker (main process)",
    "child": "child process",
    "client": "client",
    "pair": "client, for each worker",
}


def as_markdown(run: Mapping[str, Any]) -> str:
    """Return the tables of a run.

    Args:
        run: What `__main__` has measured, as plain values.
    """
    machine, options = run["machine"], run["options"]
    state = f"revision {run['revision']}, {in_a_line(machine)}"
    load = f"load {machine['load_average_before']} before, {machine['load_average_after']} after"
    usual = f"{options['workers']} worker processes and one client where nothing else is said"
    parts = [
        f"{state}, {load}",
        f"{usual}; {number(options['seconds'])} s each; CPU in µs for each call",
    ]
    for name, points in run["sweeps"].items():
        parts += [f"**{SWEEPS[name].title}**", _sweep(SWEEPS[name], points)]
    if run.get("standing"):
        parts += _standing(run)
        parts += _search(run["search"])
    return "\n\n".join(parts)


def value_text(sweep: Sweep, value: float) -> str:
    """Write a value of what grows.

    Args:
        sweep: Where it is one of the values.
        value: The value.
    """
    if not sweep.is_size:
        return f"{value:,.0f}"
    scale, unit = fitting(value, MEMORY_UNITS) if value >= 1000 else (1, "B")
    return f"{value / scale:g} {unit}"


def _sweep(sweep: Sweep, points: Sequence[Mapping[str, Any]]) -> str:
    heads = [sweep.axis, "calls/s", "p50", "p99", *limits.KINDS.values(), "limit"]
    rows = []
    for point in points:
        if "why_not" in point:
            empty = [""] * (len(heads) - 2)
            rows.append([value_text(sweep, point["value"]), *empty, point["why_not"]])
            continue
        loaded = point["loaded"]
        alone = point.get("alone", loaded)
        rows.append(
            [
                value_text(sweep, point["value"]),
                number(loaded["calls"] / loaded["seconds"]),
                seconds(alone["p50"]),
                seconds(alone["p99"]),
                *(number(cost) for cost in limits.costs(loaded).values()),
                limits.limit(loaded, point["setting"]["in_flight"]),
            ]
        )
    return markdown_table(heads, rows)


def _standing(run: Mapping[str, Any]) -> Iterator[str]:
    found = {
        StandingSetting(**point["setting"]): Standing(**point["figures"])
        for point in run["standing"]
    }
    more = each(found)
    yield "**What one more asks of Redis while nothing runs**"
    yield markdown_table(
        ["one more", "connections", "commands/s", "bytes/s to Redis", "bytes/s from Redis"],
        [
            [title, *_numbers(more[name], "connections", "commands", "received", "sent")]
            for name, title in ONE_MORE.items()
        ],
    )
    messages = [
        Message.of(point["alone"])
        for points in run["sweeps"].values()
        for point in points
        if "alone" in point and point["setting"]["size"] == 0 and point["setting"]["clients"] == 1
    ]
    if not messages:
        return
    # On a busy machine they differ.
    message = sorted(messages, key=lambda each: each.cpu)[len(messages) // 2]
    yield (
        f"A message with one call, and its reply: {number(message.commands)} commands, "
        f"{number(message.received)} bytes to Redis, {number(message.sent)} from it, "
        f"{seconds(message.cpu)} of its CPU time."
    )
    yield (
        f"**What large clusters need of Redis**: {CHILDREN} child processes in each worker, "
        f"{CLIENTS} clients, each call a message"
    )
    yield _needs(more, message)


def _search(points: Sequence[Mapping[str, float]]) -> Iterator[str]:
    yield (
        "**How long Redis looks for waiting messages**: clients look once a second for those that "
        f"were sent more than 2 s ago; all of them together go through {MOST_ENTRIES:,} entries "
        "at most"
    )
    rows = [
        [
            f"{point['messages']:,}",
            f"{point['bytes']:,}",
            number(point["microseconds"]),
            seconds(MOST_ENTRIES * seconds_for_an_entry(point)),
            number(point["ask"]),
        ]
        for point in points
    ]
    yield markdown_table(
        [
            "messages in the queue",
            "bytes of one",
            "µs for one",
            f"for {MOST_ENTRIES:,} entries",
            "µs for one HEXISTS",
        ],
        rows,
    )
    yield (
        "**What it costs Redis that long calls wait**: each client has as many messages out as it "
        "may, and looks for the oldest of them once a second"
    )
    yield markdown_table(
        [
            "worker processes",
            "clients",
            "messages in the queue",
            "their memory",
            "HEXISTS/s",
            "LPOS/s of one client",
            "cores of Redis for both",
        ],
        [
            _waiting(points, processes, clients)
            for processes in MANY_WAIT_FOR
            for clients in SENDERS
        ],
    )


def _waiting(points: Sequence[Mapping[str, float]], processes: int, clients: int) -> list[str]:
    found = waiting(points, processes=processes, clients=clients)
    return [
        f"{processes:,}",
        f"{clients:,}",
        number(found.queued),
        memory(found.memory),
        number(found.asked),
        number(found.looked),
        number(found.cores),
    ]


def _needs(more: Mapping[str, Standing], message: Message) -> str:
    rows = []
    for processes in PROCESSES:
        for duration in (None, *DURATIONS):
            found = needs(
                more,
                message,
                workers=math.ceil(processes / CHILDREN),
                children=CHILDREN,
                clients=CLIENTS,
                duration=duration,
            )
            rows.append(
                [
                    f"{processes:,}",
                    "nothing" if duration is None else f"calls of {duration:g} s",
                    *_numbers(found, "connections", "messages", "commands"),
                    memory(found.received),
                    memory(found.sent),
                    number(found.cores),
                ]
            )
    heads = [
        "worker processes",
        "they run",
        "connections",
        "messages/s",
        "commands/s",
        "to Redis, a second",
        "from Redis, a second",
        "cores of Redis for messages",
    ]
    return markdown_table(heads, rows)


def _numbers(values: Any, *names: str) -> list[str]:
    return [number(round(getattr(values, name), 3)) for name in names]
