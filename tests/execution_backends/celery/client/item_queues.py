"""What tests ask of the queues of a client, beyond what users can see."""

from typing import Any

from distribute_challenge import Queue
from distribute_challenge.core.item_block import ItemBlock
from distribute_challenge.execution_backends.celery.client.shared_queue import SharedQueue
from distribute_challenge.security import Purpose
from tests.secret import KEYRING


def shared(queue: "Queue[Any]") -> SharedQueue:
    found = queue.opened()
    assert isinstance(found, SharedQueue)
    return found


def sealed(queue: "Queue[Any]", block: str, items: ItemBlock) -> bytes:
    return KEYRING.seal(Purpose.items(queue._handle.id, block), [items.encode()])
