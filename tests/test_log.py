"""The logger, the name of the running call, and what a worker prints."""

import logging

import pytest

from distribute_challenge import compute_this
from distribute_challenge.log import LogStream, call_formatter, current_call, logger


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("any", logging.INFO, "file", 1, text, (), None)


def test_the_library_logs_under_its_own_name() -> None:
    """So that a user can silence or keep it."""
    assert logger.name == "distribute_challenge"


def test_a_line_outside_any_call_has_a_dash() -> None:
    """The format string never fails."""
    assert call_formatter().format(record("hello")).endswith("[-] hello")


def test_a_line_in_a_call_has_the_call_s_name() -> None:
    """Whatever a function logs can be told apart."""
    token = current_call.set("square")
    try:
        assert call_formatter().format(record("hello")).endswith("[square] hello")
    finally:
        current_call.reset(token)


def test_a_running_call_knows_its_name() -> None:
    """And it is forgotten when the call ends."""

    @compute_this(backend="local")
    def whoami() -> str:
        from distribute_challenge.log import current_call

        return current_call.get()

    assert whoami().compute() == "whoami"
    assert current_call.get() == ""


@pytest.fixture
def stream(caplog: pytest.LogCaptureFixture) -> LogStream:
    caplog.set_level(logging.DEBUG)
    return LogStream(logging.getLogger("tests.log_stream"), logging.INFO)


def test_what_is_printed_becomes_whole_lines_of_the_log(stream: LogStream, caplog: pytest.LogCaptureFixture) -> None:
    """However it is cut into writes; a percent sign is no format."""
    print("50 %s", "done", file=stream)
    print("two", "lines", sep="\n", file=stream)
    assert caplog.messages == ["50 %s done", "two", "lines"]
    assert {entry.levelno for entry in caplog.records} == {logging.INFO}


def test_a_line_without_an_end_waits_for_flush(stream: LogStream, caplog: pytest.LogCaptureFixture) -> None:
    """Then it is written once."""
    assert stream.write("half") == 4
    assert caplog.messages == []
    stream.flush()
    stream.flush()
    assert caplog.messages == ["half"]


def test_the_stream_can_stand_in_for_standard_output(stream: LogStream) -> None:
    """Code asks it what it asks a terminal."""
    assert stream.writable()
    assert not stream.isatty()
    assert stream.encoding == "utf-8"
