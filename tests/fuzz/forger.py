"""An attacker who can write to Redis answers remote control in the place of the workers."""

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.remote_control import channel

__all__ = ["answer", "forging"]


def answer(said: Any) -> bytes:
    """What a worker's answer looks like that says this."""
    body = b64encode(json.dumps(said).encode()).decode()
    return json.dumps(
        {"body": body, "content-type": "application/json", "headers": {}, "properties": {}}
    ).encode()


@contextmanager
def forging(url: str, forged: Callable[[], list[bytes]]) -> Iterator[None]:
    """While this lasts, answer each question with ``forged()`` before the workers can answer."""
    with connect(url) as connection, connection.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(channel(connection))
        assert heard.get_message(timeout=10) is None  # It listens.
        is_over = threading.Event()

        def forge() -> None:
            while not is_over.is_set():
                if message := heard.get_message(timeout=0.05):
                    question = json.loads(b64decode(json.loads(message["data"])["body"]))
                    way_back = question["reply_to"]
                    connection.rpush(f"{way_back['exchange']}.{way_back['routing_key']}", *forged())

        thread = threading.Thread(target=forge)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
