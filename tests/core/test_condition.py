"""A condition variable that Ctrl+C cannot leave locked."""

import sys
import threading
from types import FrameType

import pytest

from distribute_challenge.core.condition import Condition, Event


@pytest.mark.parametrize("lock", [threading.Lock, threading.RLock])
def test_entering_a_condition_runs_no_python_code_after_the_lock_is_taken(lock: type) -> None:
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


def test_an_event_uses_a_condition_of_this_class() -> None:
    event = Event()
    assert type(event._cond) is Condition
    waiting = threading.Thread(target=event.wait)
    waiting.start()
    event.set()
    waiting.join(60)
    assert not waiting.is_alive()
