"""What a worker prints, and the log that it goes to."""

import logging
import os
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from distribute_challenge.execution.output import DescriptorHandler, LogStream, OutputLog


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.levels: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.levels.add(record.levelno)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def stream(kept: Kept) -> LogStream:
    return LogStream(1, logging.INFO, OutputLog(logging.INFO, kept))


def test_printed_text_becomes_whole_lines_of_the_log(stream: LogStream, kept: Kept) -> None:
    """It may come in any number of writes. A percent sign is no format."""
    print("50 %s", "done", file=stream)
    print("two", "lines", sep="\n", file=stream)
    print(file=stream)
    assert kept.lines == ["50 %s done", "two", "lines", ""]
    assert kept.levels == {logging.INFO}


def test_a_line_without_an_end_waits_for_flush(stream: LogStream, kept: Kept) -> None:
    """Then it is written once."""
    assert stream.write("half") == 4
    assert kept.lines == []
    stream.flush()
    stream.flush()
    assert kept.lines == ["half"]


def test_bytes_and_text_written_to_the_stream_keep_their_order(
    stream: LogStream, kept: Kept
) -> None:
    """So do bytes that are no text."""
    stream.write("one ")
    assert stream.buffer.write(b"two\nthr") == 7
    stream.buffer.write(memoryview(b"ee\n\xff\n"))
    stream.write("\udcff\n")
    assert kept.lines == ["one two", "three", "\\xff", "\\udcff"]


def test_the_stream_has_the_attributes_of_standard_output(stream: LogStream) -> None:
    """Code asks it what it asks a file."""
    assert stream.writable()
    assert not stream.readable()
    assert not stream.isatty()
    assert (stream.encoding, stream.errors, stream.mode, stream.name) == (
        "utf-8",
        "backslashreplace",
        "w",
        "<stdout>",
    )
    assert stream.fileno() == stream.buffer.fileno() == 1
    stream.reconfigure(encoding="latin-1", line_buffering=True)
    assert stream.encoding == "latin-1"
    assert not stream.closed


def test_a_closed_stream_refuses_as_a_file_does(stream: LogStream, kept: Kept) -> None:
    """What it had of a line is in the log."""
    stream.write("last")
    lines = stream.buffer
    stream.close()
    assert kept.lines == ["last"]
    assert stream.closed
    for write in (lambda: stream.write("x"), lambda: lines.write(b"x")):
        with pytest.raises(ValueError, match="closed file"):
            write()


def test_a_closed_stream_can_be_reopened(stream: LogStream, kept: Kept) -> None:
    stream.close()
    print("again", file=stream.reopened())
    assert kept.lines == ["again"]
    assert kept.levels == {logging.INFO}


def test_threads_do_not_mix_within_a_line(stream: LogStream, kept: Kept) -> None:
    stream.write("of the ")
    other = threading.Thread(target=lambda: stream.write("other thread"))
    other.start()
    other.join()
    stream.write("main thread\n")
    stream.flush()
    assert kept.lines == ["of the main thread", "other thread"]


def test_lines_below_the_log_s_level_are_dropped(kept: Kept) -> None:
    log = OutputLog(logging.WARNING)
    log.add(kept)
    print("quiet", file=LogStream(1, logging.INFO, log))
    print("loud", file=LogStream(2, logging.WARNING, log))
    assert kept.lines == ["loud"]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            continue  # The test has closed it.


def record(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("any", logging.INFO, "file", 1, text, args, None)


def test_lines_that_cannot_be_written_are_counted_and_raise_nothing(pipe: tuple[int, int]) -> None:
    """The reader of a pipe has gone; another comes."""
    read, write = pipe
    os.close(read)
    handler = DescriptorHandler(write)
    handler.handle(record("lost"))
    handler.handle(record("lost too"))
    read, again = os.pipe()
    os.dup2(again, write)
    os.close(again)
    handler.handle(record("back"))
    handler.handle(record("and on"))
    handler.close()
    os.close(write)
    with open(read) as lines:
        told, back, on = lines.read().splitlines()
    assert told.endswith("2 lines of this log are lost: [Errno 32] Broken pipe")
    assert " WARNING " in told
    assert back.endswith("back")
    assert on.endswith("and on")


def test_a_terminal_that_another_program_made_non_blocking_loses_nothing(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    received: list[bytes] = []
    is_full = threading.Event()
    wait = select.select

    def wait_for_room(*files: Any) -> Any:
        is_full.set()
        return wait(*files)

    def read_on() -> None:
        is_full.wait(60)
        while sum(map(len, received)) < 1_000_000:
            received.append(os.read(read, 100_000))

    monkeypatch.setattr(select, "select", wait_for_room)
    reader = threading.Thread(target=read_on)
    reader.start()
    DescriptorHandler(write).handle(record("x" * 1_000_000))
    reader.join(60)
    assert b"".join(received).count(b"x") == 1_000_000


def test_arguments_that_do_not_fit_their_text_are_told_as_logging_tells_them(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    DescriptorHandler(pipe[1]).handle(record("%d", "text"))
    assert "--- Logging error ---" in capsys.readouterr().err
