"""What travels."""

import json
import struct
from array import array
from importlib.metadata import version

import pytest

from distribute_challenge import __version__
from distribute_challenge.errors import VersionMismatchError
from distribute_challenge.messages import PYTHON, Batch, FunctionPayload, Problem, Reply, Section, Task
from distribute_challenge.options import CallOptions

BATCH = Batch(id="b1", function="d1", name="square", arguments=[b"one", b"", b"three"], timeout=1.5, retries=2)


def test_a_batch_comes_back_as_it_was() -> None:
    """All fields, empty byte strings too; the library's version is filled in."""
    decoded = Batch.decode(BATCH.encode())
    assert (decoded.id, decoded.function, decoded.name) == ("b1", "d1", "square")
    assert decoded.arguments == [b"one", b"", b"three"]
    assert (decoded.timeout, decoded.retries, decoded.chunk, decoded.client) == (1.5, 2, 0, "")
    assert (decoded.python, decoded.library) == (PYTHON, version("distribute_challenge"))


def test_a_header_can_be_read_without_unpickling_anything() -> None:
    """It is JSON behind the magic bytes and its length."""
    frame = BATCH.encode()
    length = struct.unpack_from(">I", frame, 4)[0]
    header = json.loads(frame[8 : 8 + length])
    assert frame[:4] == b"DCF1"
    assert header["name"] == "square"
    assert header["sizes"] == [3, 0, 5]


def test_a_batch_counts_single_calls_or_those_of_its_chunk() -> None:
    """One or the other."""
    assert BATCH.calls == 3
    assert Batch("b", "d", "f", [b"many"], chunk=500).calls == 500


def test_a_task_counts_its_calls() -> None:
    """A single call is one."""
    payload = FunctionPayload("d", b"", "f")
    assert Task(payload, b"", CallOptions(), 0.0).calls == 1
    assert Task(payload, b"", CallOptions(), 0.0, chunk=7).calls == 7


def test_a_reply_comes_back_as_it_was() -> None:
    """Sections, times and all."""
    reply = Reply(
        "b1",
        "w@h/1",
        started=12.25,
        first=3,
        sections=[Section("values", 2, b"ab"), Section("error", 1, b"")],
        ended=False,
        finishes=array("d", [1.5, 2.5]),
    )
    decoded = Reply.decode(reply.encode())
    assert decoded.sections == reply.sections
    assert decoded.finishes == reply.finishes
    assert (decoded.batch, decoded.worker, decoded.started) == ("b1", "w@h/1", 12.25)
    assert (decoded.first, decoded.ended, decoded.problem) == (3, False, None)


def test_a_problem_travels_in_place_of_outcomes() -> None:
    """Kind and text."""
    decoded = Reply.decode(Reply("b1", "w", 0.0, problem=Problem("lost", "signal 9")).encode())
    assert decoded.problem == Problem("lost", "signal 9")
    assert decoded.sections == []


@pytest.mark.parametrize("frame", [b"", b"DCF9" + BATCH.encode()[4:], b"{}"])
@pytest.mark.parametrize("message", [Batch, Reply])
def test_another_format_is_refused_with_what_to_install(message: type[Batch] | type[Reply], frame: bytes) -> None:
    """Not a crash somewhere inside."""
    with pytest.raises(VersionMismatchError, match="install the same version of distribute_challenge"):
        message.decode(frame)


def test_a_batch_of_this_python_is_accepted() -> None:
    """Its code runs here."""
    BATCH.check_versions()


def test_a_batch_of_another_python_is_refused_with_both_versions() -> None:
    """Bytecode runs on its own minor version alone."""
    with pytest.raises(VersionMismatchError, match=f"client runs Python 2.7, this worker Python {PYTHON}"):
        Batch("b", "d", "f", [], python="2.7").check_versions()


def test_the_library_s_version_is_that_of_its_metadata() -> None:
    """Asked twice, the same."""
    assert Batch("b", "f", "n", []).library == __version__ == version("distribute_challenge")
