"""Signal handlers in a process that a call forked; see also `contract/processes`."""

import os
import signal
from collections.abc import Iterator

import pytest

from distribute_challenge.execution.end_signals import TO_END, OrderlyEnd


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep this process's handlers as they are."""
    monkeypatch.setattr(os, "register_at_fork", lambda **hooks: None)
    before = [(number, signal.getsignal(number)) for number in (*TO_END, signal.SIGINT)]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_signals_end_a_fork_as_any_program_and_the_handlers_that_the_call_has_set_stay() -> None:
    def of_the_call(number: int, frame: object) -> None:
        raise AssertionError

    end = OrderlyEnd()
    end.listen(signal.SIGINT)
    signal.signal(signal.SIGHUP, of_the_call)
    end._hold()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) >= {*TO_END, signal.SIGINT}
    end._let_fork_end()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {*TO_END, signal.SIGINT}
    found = {number: signal.getsignal(number) for number in TO_END}
    assert found.pop(signal.SIGHUP) is of_the_call
    assert set(found.values()) == {signal.SIG_DFL}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_came_during_a_call_ends_the_process_before_the_next() -> None:
    end = OrderlyEnd(code=7)
    end.listen()
    signal.raise_signal(signal.SIGTERM)
    assert end.is_told
    with pytest.raises(SystemExit) as caught:
        end.wait(lambda: "a call")
    assert caught.value.code == 7
