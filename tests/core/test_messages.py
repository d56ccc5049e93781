"""What travels."""

import json
import struct
from array import array
from importlib.metadata import version

import pytest

from distribute_challenge import __version__
from distribute_challenge.core.messages import PYTHON, Batch, FunctionPayload, Problem, Reply, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.section import Section
from distribute_challenge.errors import ForgedError, VersionMismatchError

BATCH = Batch(
    id="b1", function="d1", name="square", arguments=[b"one", b"", b"three"], timeout=1.5, retries=2
)


def test_an_encoded_batch_decodes_to_the_same_fields() -> None:
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
    """It has single calls or a chunk."""
    assert BATCH.calls == 3
    assert Batch("b", "d", "f", [b"many"], chunk=500).calls == 500


def test_a_task_counts_its_calls() -> None:
    """A single call is one."""
    payload = FunctionPayload("d", b"", "f")
    assert Task(payload, b"", CallOptions(), 0.0).calls == 1
    assert Task(payload, b"", CallOptions(), 0.0, chunk=7).calls == 7


def test_an_encoded_reply_decodes_to_the_same_fields() -> None:
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
def test_another_format_is_refused_with_what_to_install(
    message: type[Batch] | type[Reply], frame: bytes
) -> None:
    """It does not crash somewhere inside."""
    with pytest.raises(
        VersionMismatchError, match="install the same version of distribute_challenge"
    ):
        message.decode(frame)


def test_a_batch_of_this_python_is_accepted() -> None:
    """Its code runs here."""
    BATCH.check_versions()


def test_a_batch_of_another_python_is_refused_with_both_versions() -> None:
    """Bytecode runs on its own minor version alone."""
    with pytest.raises(
        VersionMismatchError, match=f"client runs Python 2.7, this worker Python {PYTHON}"
    ):
        Batch("b", "d", "f", [], python="2.7").check_versions()


@pytest.mark.parametrize(("version", "fits"), [("", True), (".7", True), ("9", False)])
def test_a_batch_of_another_library_version_is_refused_except_for_the_patch_number(
    version: str, fits: bool
) -> None:
    """The error has the line that installs the same. Only the last number may differ."""
    base = ".".join(__version__.split(".")[:2])
    batch = Batch("b", "d", "f", [], library=f"{base}{version}")
    if fits:
        batch.check_versions()
    else:
        with pytest.raises(
            VersionMismatchError,
            match=rf"client has distribute_challenge {base}9.*same version on both",
        ):
            batch.check_versions()


def test_the_library_s_version_is_that_of_its_metadata() -> None:
    """Asked twice, the same."""
    assert Batch("b", "f", "n", []).library == __version__ == version("distribute_challenge")


def changed(message: Batch | Reply, blobs: bytes | None = None, **header: object) -> bytes:
    """A frame with other fields, or with other bytes behind the header."""
    frame = message.encode()
    end = 8 + struct.unpack_from(">I", frame, 4)[0]
    text = json.dumps({**json.loads(frame[8:end]), **header}).encode()
    return (
        frame[:4] + struct.pack(">I", len(text)) + text + (frame[end:] if blobs is None else blobs)
    )


REPLY = Reply("b", "w", 1.0, sections=[Section("value", 1, b"x")], finishes=array("d", [2.0]))


@pytest.mark.parametrize(
    "frame",
    [
        BATCH.encode()[:-1],
        BATCH.encode() + b"x",
        b"DCF1",
        b"DCF1\xff\xff\xff\xff{}",
        changed(BATCH, sizes=[1, 2]),
        changed(BATCH, sizes=[-1, 9]),
        changed(BATCH, chunk=3),
        changed(BATCH, timeout="long"),
        changed(BATCH, reply_to="\ud800"),
        changed(BATCH, new="field"),
        changed(BATCH, following=[["digest", "name", False, -1]]),
        changed(BATCH, following=[["digest", "name", 0, 1]]),
        changed(BATCH, following=[["digest", "name", False]]),
        changed(BATCH, following=[["digest", "name", False, 99]]),
    ],
)
def test_a_broken_batch_is_refused(frame: bytes) -> None:
    """Cut, longer than it says, with fields that none can have."""
    with pytest.raises(ForgedError):
        Batch.decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        REPLY.encode()[:-1],
        changed(REPLY, b"x" + array("d", [float("nan")]).tobytes()),
        changed(REPLY, b"x" * 8, sizes=[8, 0]) + b"x",
        changed(REPLY, b"x" * 4, sizes=[1, 3]),
        changed(REPLY, b"", sizes=[]),
        changed(REPLY, problem=["lost", "text"]),
        changed(REPLY, problem=["lost", "text", []]),
        changed(REPLY, sections=[["value", 1]]),
        changed(REPLY, sections=[["another", 1, 0]]),
        changed(REPLY, sections=[[["value"], 1, 0]]),
        changed(REPLY, kept=-1),
    ],
)
def test_a_broken_reply_is_refused(frame: bytes) -> None:
    """So is a reply without a time at which it ended."""
    with pytest.raises(ForgedError):
        Reply.decode(frame)


def test_fields_of_another_version_are_answered_and_not_taken_for_a_forgery() -> None:
    with pytest.raises(VersionMismatchError, match=r"distribute_challenge 9\.9 has other fields"):
        Batch.decode(changed(BATCH, new="field", library="9.9"))
