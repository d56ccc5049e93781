"""Mutated lines of presence: they hide no worker, and make none up."""

import json
import time
from typing import Any

import pytest

from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.cluster_clock import ClusterClock
from distribute_challenge.execution_backends.celery.broker.keys import CLIENTS, WORKERS
from distribute_challenge.security import Purpose
from tests.fuzz.mutation import Mutator
from tests.secret import KEYRING

pytestmark = pytest.mark.usefixtures("no_pickle")


class _Hash:
    """The part of Redis that `presence` reads."""

    keyring = KEYRING

    def __init__(self) -> None:
        self.lines: dict[bytes, bytes] = {}
        self.removed: list[bytes] = []
        self.clock = ClusterClock()

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        return self.lines

    def hset(self, key: str, name: str, line: bytes) -> None:
        self.lines[name.encode()] = line

    def hdel(self, key: str, *names: bytes) -> None:
        self.removed.extend(names)

    def time(self) -> tuple[int, int]:
        return int(time.time()), 0


@pytest.mark.slow
def test_mutated_presence_lines_are_counted_as_strangers_or_dropped() -> None:
    """What is signed and says nonsense, too; those between them are there."""
    connection, mutator = _Hash(), Mutator(5)
    here: Any = connection
    presence.show(here, presence.WorkerPresence("worker", 2, ["a"], opens=KEYRING.opens))
    presence.show(here, presence.WorkerPresence("\u00e9", 1, ["b"]))
    lines = list(connection.lines.values())
    opened = json.loads(
        KEYRING.open(Purpose.presence(WORKERS, "worker"), lines[0].partition(b" ")[2])
    )
    strange = 0
    for number in range(150):
        # Anew: a busy machine takes longer for all than a line counts.
        presence.show(here, presence.WorkerPresence("worker", 2, ["a"], opens=KEYRING.opens))
        lines[0] = connection.lines[b"worker"]
        added = {}
        for name in (f"n{index}" for index in range(50)):
            if number % 2:
                text = mutator.text(opened)
                seal = KEYRING.seal(Purpose.presence(WORKERS, name), [text])
                added[name.encode()] = b"%.3f %b" % (time.time(), seal)
            else:
                added[mutator.random.choice([name.encode(), mutator.random.randbytes(5)])] = (
                    mutator.raw(lines)
                )
        connection.lines = {**added, b"worker": lines[0]}
        workers = presence.workers(here)
        assert any(worker.name == "worker" and worker.concurrency == 2 for worker in workers)
        assert presence.slots(workers, "a") >= 2
        strange += presence.strangers(here)
        assert b"worker" not in connection.removed
    assert strange > 2500
    connection.lines = {
        b"x": b"%.3f " % time.time() + KEYRING.seal(Purpose.presence(CLIENTS, "x"), [b"{}"])
    }
    assert presence.clients(here) == []
