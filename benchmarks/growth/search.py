"""Measures how long Redis looks for a message in a queue.

A client asks once a second where its messages are that have waited for long, to find lost ones.
"""

import uuid
from typing import Any

from benchmarks.redis_costs import RedisCosts
from distribute_challenge import LocalCluster
from distribute_challenge.core.messages import Batch
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.publishing import Message, message_for
from distribute_challenge.execution_backends.celery.client.lost_messages import MOST_BYTES
from distribute_challenge.execution_backends.celery.client.whereabouts import are_held, are_nowhere
from distribute_challenge.security import Keyring

__all__ = ["measured"]

QUEUE = "benchmark_without_workers"
LOOKS = 100  # Messages that are looked for, at equal distances.
AT_ONCE = 1_000  # Messages that go into the queue with one command.


def measured(messages: int) -> dict[str, Any]:
    """Fill a queue, look for some of its messages, and return what that took.

    Args:
        messages: Messages in the queue, each with one call that does nothing.

    Returns:
        ``messages``; ``bytes`` of one; ``microseconds`` of Redis' CPU time for one look; ``ask``, the
        same for one question whether a worker has a message; ``most``, the number of messages that
        a client looks for at once, by their size.
    """
    with LocalCluster(1) as cluster:
        assert cluster.backend.concurrency  # To ask for it, the backend connects.
        server = connect(cluster.broker_url)
        queued = [_message(server.keyring) for _ in range(messages)]
        for first in range(0, messages, AT_ONCE):
            part = [message.data for message in queued[first : first + AT_ONCE]]
            server.lpush(queued[0].key, *part)
        before = RedisCosts.now(server)
        nowhere, _ = are_nowhere(server, queued[:: max(1, messages // LOOKS)])
        looks = RedisCosts.now(server)
        held = are_held(server, queued[:AT_ONCE])
        asks = RedisCosts.now(server).since(looks)
        costs = looks.since(before)
    assert not any(nowhere)
    assert not any(held)
    size = len(queued[0].data)
    return {
        "messages": messages,
        "bytes": size,
        # Not the time that Redis gives for LPOS: that goes on while Redis waits for a core.
        "microseconds": 1e6 * costs.cpu / costs.commands["lpos"].calls,
        "ask": 1e6 * asks.cpu / len(held),
        "most": MOST_BYTES // size,
    }


def _message(keyring: Keyring) -> Message:
    """Make a message as a client sends it for one call."""
    client = uuid.uuid4().hex
    batch = Batch(
        id=uuid.uuid4().hex,
        function="0" * 64,
        name="same",
        arguments=[b"x" * 30],
        client=client,
        reply_to=f"distribute_challenge:replies:{client}",
        logs=30,
    )
    return message_for(batch, queue=QUEUE, priority=0, keyring=keyring)
