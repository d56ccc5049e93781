"""Calls that run in containers, and meet the test at their Redis.

They travel there with this file, so it imports little.
"""

import os
import signal
import socket

from distribute_challenge import compute_this

LONGEST = 60  # Seconds after which a call would rather end than wait.


@compute_this
def wait_at(door: str) -> str:
    """Say that it runs, and wait until it may go on."""
    import redis

    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]) as connection:
        connection.incr(f"{door}.begun")
        connection.blpop([door], LONGEST)
    return "done"


@compute_this
def spin_until(door: str) -> str:
    """Keep a core busy; the name of its machine."""
    import redis

    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]) as connection:
        while not connection.exists(door):
            sum(range(1_000_000))
    return socket.gethostname()


@compute_this
def kill_worker_once(name: str) -> None:
    """Kill the worker that runs it; the one that runs it again lives."""
    import redis

    with redis.Redis.from_url(os.environ["CELERY_BROKER_URL"]) as connection:
        if connection.incr(name) == 1:
            os.kill(os.getppid(), signal.SIGKILL)
