"""Calls that run in containers. They travel there with this file, so it imports little."""

import os
import time

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.broker.connection import connect


@compute_this
def counted(key: str, number: int, seconds: float) -> int:
    """Count its runs in the cluster's own Redis: containers share nothing else."""
    with connect(os.environ["CELERY_BROKER_URL"]) as connection:
        connection.hincrby(key, str(number), 1)
    time.sleep(seconds)
    return number


@compute_this
def take_memory(amount: int) -> int:
    return len(bytearray(os.urandom(1)) * amount)
