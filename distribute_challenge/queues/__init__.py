"""Queues of items, which several processes and machines share, and their consumers."""

from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.execution_backends.item_queue import DeadLetter
from distribute_challenge.queues.consumers import Consumers
from distribute_challenge.queues.full import Full
from distribute_challenge.queues.pool import ConsumerPool, QueuePool
from distribute_challenge.queues.queue import Queue

__all__ = ["ConsumerPool", "Consumers", "DeadLetter", "Full", "Queue", "QueuePool", "ShutDown"]
