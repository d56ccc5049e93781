"""The logger, and the name of the running call."""

import logging

from distribute_challenge import compute_this
from distribute_challenge.log import call_formatter, current_call, logger


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("any", logging.INFO, "file", 1, text, (), None)


def test_the_library_logs_under_its_own_name() -> None:
    """So a user can silence or keep it."""
    assert logger.name == "distribute_challenge"


def test_a_line_outside_any_call_has_a_dash() -> None:
    """The format string never fails."""
    assert call_formatter().format(record("hello")).endswith("[-] hello")


def test_a_line_in_a_call_has_the_call_s_name() -> None:
    """A reader can tell the lines of different functions apart."""
    token = current_call.set("square")
    try:
        assert call_formatter().format(record("hello")).endswith("[square] hello")
    finally:
        current_call.reset(token)


def test_current_call_is_the_name_of_the_running_call() -> None:
    """The process forgets it when the call ends."""

    @compute_this(backend="local")
    def whoami() -> str:
        from distribute_challenge.log import current_call

        return current_call.get()

    assert whoami().compute() == "whoami"
    assert current_call.get() == ""
