"""Handlers of signals in a process that a call has forked; the rest is in
`tests/faults/test_signalled_workers.py`.
"""

import signal

import pytest

from distribute_challenge.execution_backends.celery.worker.overrides import child_signals


def test_a_fork_keeps_the_handlers_that_the_call_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the pool's child end it, as they end any program."""

    def own(number: int, frame: object) -> None:
        raise AssertionError

    def of_the_call(number: int, frame: object) -> None:
        raise AssertionError

    monkeypatch.setattr(child_signals, "_handler", own)
    before = [(number, signal.getsignal(number)) for number in child_signals.TO_END]
    try:
        for number in child_signals.TO_END:
            signal.signal(number, of_the_call if number == signal.SIGHUP else own)
        child_signals.let_forks_end()
        found = {number: signal.getsignal(number) for number in child_signals.TO_END}
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert found.pop(signal.SIGHUP) is of_the_call
    assert set(found.values()) == {signal.SIG_DFL}
