"""Mutated records of detached calls in a real Redis: each step of a call ends without an error."""

import contextlib
from typing import Any, cast

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import detached
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.detached import (
    DetachedRecords,
    answer_commands,
)
from distribute_challenge.execution_backends.celery.broker.keys import (
    DETACHED_OPEN,
    detached_key,
    outcome_key,
)
from distribute_challenge.execution_backends.celery.broker.pipelined import PipelinedConnection
from tests.execution_backends.celery.conftest import Server
from tests.fuzz.mutation import Mutator


@compute_this
def double(number: int) -> int:
    return 2 * number


@pytest.mark.slow
def test_mutated_records_raise_no_error_in_any_step_of_a_detached_call(
    server: Server, backend: CeleryExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They harm no other call."""
    for name in ("APART", "TURN", "UNSEEN"):
        monkeypatch.setattr(detached, name, -1)
    connection, mutator = connect(server.url), Mutator(41)
    records, line = DetachedRecords(connection), PipelinedConnection(connection)
    call, other = (
        double(number).submit(backend, detach=True, time_to_live=60).id for number in range(2)
    )
    valid = cast("dict[bytes, bytes]", connection.hgetall(detached_key(call)))
    # Of the same length in each run, so that the same is done to it.
    valid[b"message"] = b"m" * 700
    for name, value in valid.items():
        with contextlib.suppress(ValueError):
            valid[name] = b"%.0f.5" % float(value) if b"." in value else value
    others = connection.hgetall(detached_key(other))
    malformed = 0
    for number in range(1_500):
        record: dict[Any, Any] = dict(valid)
        for field in mutator.random.sample(sorted(record), mutator.random.choice([1, 1, 2, 3])):
            record[field] = mutator.raw(
                [record[field], *valid.values(), b"-1", b"9" * 30, b"nan", b"inf", b""]
            )
        if number % 4 == 0:
            del record[mutator.random.choice(sorted(record))]
        connection.delete(detached_key(call), outcome_key(call))
        connection.hset(detached_key(call), mapping=record)
        connection.zadd(DETACHED_OPEN, {call: 1.0, mutator.raw([call.encode()]) + b"!": 1.0})
        assert {*records.overlooked(10)} <= {call, other}
        records.has_ended(call)
        records.is_held(call)
        malformed += records.look(call).state == "over"
        records.look(call)
        line.send(*answer_commands(outcome_key(call), b"sealed", lost=bool(number % 2)))
        line.settle()
        records.take_back(call)
        assert connection.hgetall(detached_key(other)) == others
    line.close()
    assert 300 < malformed < 1_200
    connection.flushall()
    future = double(4).submit(backend, detach=True)
    assert future.cancel()
    assert future.cancelled()
