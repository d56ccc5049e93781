"""Blocks as they travel, and the file for those that do not fit into memory."""

import enum
import errno
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy
import pytest

from distribute_challenge.mapreduce.blocks import Blocks, BlockWriter, decoded, encoded
from distribute_challenge.mapreduce.spill import Spill


class Colour(enum.IntEnum):
    RED = 1


def written(limit: int, spill: Spill) -> Blocks:
    writer = BlockWriter(3, limit, spill)
    for number in range(10):
        writer.add(number % 2, encoded(([number], ["x" * 100]), "pairs"))
    return writer.blocks()


def sections(blocks: Blocks) -> list[list[Any]]:
    return [[key for keys, _ in blocks.section(number) for key in keys] for number in range(3)]


@pytest.mark.parametrize("limit", [0, 500, 1_000_000])
def test_sections_have_their_blocks_in_order(limit: int) -> None:
    """With all in memory, some in a file, or all; also when the file is closed."""
    with Spill() as spill:
        blocks = written(limit, spill)
        assert (spill.size > 0) == (limit < 1_000_000)
    right = [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9], []]
    assert sections(blocks) == right
    assert repr(blocks).startswith("<Blocks, 1.")
    assert sections(pickle.loads(pickle.dumps(blocks, protocol=5))) == right


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_the_bytes_travel_apart_from_the_index(limit: int) -> None:
    """So they stay where large values are, and a reader maps them."""
    buffers: list[pickle.PickleBuffer] = []
    with Spill() as spill:
        blocks = written(limit, spill)
    head = pickle.dumps(blocks, protocol=5, buffer_callback=buffers.append)
    assert len(head) < 500
    assert len(buffers) == 1
    assert not buffers[0].raw().readonly
    read_only = memoryview(bytes(buffers[0].raw()))
    assert sections(pickle.loads(head, buffers=[read_only])) == sections(blocks)


@pytest.mark.parametrize(
    "keys",
    [
        ["a", "\ud800", ""],
        [b"", b"a\0"],
        [0, -1, 10**40],
        ["a", 1, b"a"],
        [True],
        [("a", (1,))],
        [],
    ],
)
def test_an_encoded_block_decodes_to_the_same_keys_and_values(keys: list[Any]) -> None:
    """Its keys have their types."""
    values = [number / 2 for number in range(len(keys))]
    found = decoded(encoded((keys, values), "pairs"))
    assert found == (keys, values)
    assert list(map(type, found[0])) == list(map(type, keys))


def test_keys_of_subclasses_stay_what_they_are() -> None:
    """Some could be encoded in the short way as other types."""
    for key in (numpy.int64(5), numpy.str_("a"), Colour.RED):
        ((found,), _) = decoded(encoded(([key], [None]), "pairs"))
        assert (type(found), found) == (type(key), key)


def test_a_section_can_be_pickled_without_the_bytes_of_others() -> None:
    with Spill() as spill:
        blocks = written(1_000_000, spill)
    alone = blocks.alone(1)
    assert sections(alone) == [[], [1, 3, 5, 7, 9], []]
    assert len(pickle.dumps(alone, 5)) < len(pickle.dumps(blocks, 5)) * 0.6


def test_a_file_leaves_nothing_behind_when_its_process_is_killed(tmp_path: Path) -> None:
    """It has no name that could be left."""
    program = (
        "from distribute_challenge.mapreduce.spill import Spill\n"
        "spill = Spill()\n"
        "spill.append(bytes(1_000_000))\n"
        "print(spill.size, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1000000\n"
        assert list(tmp_path.iterdir()) == []
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(OSError, match="No space left") as caught, Spill() as spill:
            spill.append(b"x")
    assert caught.value.errno == errno.ENOSPC
    assert "set TMPDIR on the workers" in caught.value.__notes__[0]
