"""Queues of items, which several processes and machines share."""

from distribute_challenge.core.shut_down import ShutDown
from distribute_challenge.execution_backends.item_queue import DeadLetter
from distribute_challenge.queues.full import Full
from distribute_challenge.queues.queue import Queue

__all__ = ["DeadLetter", "Full", "Queue", "ShutDown"]
