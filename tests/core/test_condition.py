"""A condition variable that Ctrl+C cannot leave locked."""

import sys
import threading
from types import FrameType

import pytest

from distribute_challenge.core.condition import Condition, Event


@pytest.mark.parametrize("lock", [threading.Lock, threading.RLock])
def test_no_line_of_python_runs_between_the_lock_and_the_body(lock: type) -> None:
    """An interruption comes between two of them."""
    called = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        called.append(frame.f_code.co_qualname)

    condition = Condition(lock())
    before = sys.gettrace()
    sys.settrace(note)
    try:
        with condition:
            pass
    finally:
        sys.settrace(before)
    assert not called


def test_an_event_has_such_a_condition() -> None:
    event = Event()
    assert type(event._cond) is Condition
    waiting = threading.Thread(target=event.wait)
    waiting.start()
    event.set()
    waiting.join(60)
    assert not waiting.is_alive()
