"""Patches functions of the library and of Celery, so that processes mark where they are.

Places before a write are marked before it: the other process may be awake before the write returns.
"""

import functools
from collections.abc import Callable
from typing import Any

from benchmarks.self.where.marks import Place, record

__all__ = ["install_in_client", "install_in_worker"]


def install_in_client() -> None:
    """Patch the library in the process that makes the calls, before it makes its client."""
    from distribute_challenge.execution_backends.celery.client import publisher
    from distribute_challenge.execution_backends.celery.client.client import Client
    from distribute_challenge.execution_backends.celery.client.direct import DirectConnection
    from distribute_challenge.execution_backends.celery.client.receiver import Receiver

    _mark(Client, "send_now", before=Place.PICKLED)
    _mark(publisher, "message_for", before=Place.REGISTERED, after=Place.MESSAGE_MADE)
    _mark_sending()
    _mark(DirectConnection, "submit", after=Place.SUBMITTED)
    _mark(Receiver, "deliver", before=Place.REPLY_ARRIVES, after=Place.REPLY_TAKEN)


def install_in_worker() -> None:
    """Patch the library and Celery in the worker's main process, before it starts."""
    from billiard import pool as billiard_pool
    from kombu.utils import eventio

    from distribute_challenge.execution.batch_calls import BatchCalls
    from distribute_challenge.execution_backends.celery.worker import task
    from distribute_challenge.execution_backends.celery.worker.gate import Gate
    from distribute_challenge.execution_backends.celery.worker.overrides import pool
    from distribute_challenge.execution_backends.celery.worker.overrides.result_reader import (
        ResultReader,
    )
    from distribute_challenge.execution_backends.celery.worker.overrides.transport import (
        WorkerChannel,
    )
    from distribute_challenge.execution_backends.celery.worker.unacked import UnackedMessages

    _mark(WorkerChannel, "_brpop_read", before=Place.MESSAGE_ARRIVES, after=Place.MESSAGE_DONE)
    _mark(WorkerChannel, "_brpop_start", before=Place.ASKS, after=Place.ASKED)
    _mark(type(eventio.poll()), "poll", before=Place.POLLS, after=Place.POLLED)
    _mark(Gate, "admitted", before=Place.MESSAGE_PARSED, after=Place.ADMITTED)
    _mark(UnackedMessages, "take", after=Place.HELD)
    _mark_what_is_made(billiard_pool, "_get_send_offset", before=Place.PASSING_ON)
    _mark_after(pool._StraightPool, "_create_write_handlers", "_quick_put", after=Place.PASSED_ON)
    _mark_what_is_made(
        ResultReader, "_make_process_result", before=Place.RESULT_BEGINS, after=Place.RESULT_ENDS
    )
    _mark_after(
        pool._Child,
        "_make_child_methods",
        "wait_for_job",
        before=Place.WAITS,
        after=Place.JOB_READ,
    )
    _mark(task, "run_batch", before=Place.TASK_BEGINS)
    _mark(task, "execute", before=Place.OPENED)
    _mark(BatchCalls, "__call__", before=Place.CALLED, after=Place.RETURNED)
    _mark(task, "send_reply", before=Place.ENCODED)
    _mark_sending()


def _mark_sending() -> None:
    from redis.connection import AbstractConnection

    _mark(AbstractConnection, "send_packed_command", before=Place.SENDING, after=Place.SENT)


def _mark(owner: Any, name: str, **places: Place) -> None:
    """Have a function of a module or a class mark where it begins and ends."""
    setattr(owner, name, _marking(getattr(owner, name), **places))


def _mark_what_is_made(owner: Any, name: str, **places: Place) -> None:
    """Have the functions that a function returns mark where they begin and end."""
    make = getattr(owner, name)

    @functools.wraps(make)
    def make_marking(*args: Any, **options: Any) -> Callable[..., Any]:
        return _marking(make(*args, **options), **places)

    setattr(owner, name, make_marking)


def _mark_after(owner: Any, name: str, attribute: str, **places: Place) -> None:
    """Have the function that a method sets as an attribute mark where it begins and ends."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        result = method(self, *args, **options)
        setattr(self, attribute, _marking(getattr(self, attribute), **places))
        return result

    setattr(owner, name, call)


def _marking(
    function: Callable[..., Any], *, before: Place | None = None, after: Place | None = None
) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if before is not None:
            record(before)
        try:
            return function(*args, **options)
        finally:
            if after is not None:
                record(after)

    return call
