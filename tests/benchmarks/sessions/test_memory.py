"""The most memory in a block."""

import os
from pathlib import Path

import pytest

from benchmarks.rig.redis_process import RedisProcess
from benchmarks.sessions import memory
from benchmarks.sessions.memory import ClientMemory, RedisMemory

MEGABYTE = 2**20


@pytest.mark.skipif(not memory.RESET.exists(), reason="the kernel does not tell the peak")
def test_client_memory_counts_a_buffer_freed_within_the_block() -> None:
    with ClientMemory() as used:
        assert len(bytearray(os.urandom(1)) * (64 * MEGABYTE)) == 64 * MEGABYTE
    assert used.growth is not None
    assert 60 < used.growth < 100
    with ClientMemory() as used:
        pass
    assert used.growth is not None
    assert used.growth < 10


def test_a_kernel_that_does_not_tell_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "RESET", tmp_path / "missing" / "file")
    with ClientMemory() as used:
        pass
    assert used.growth is None
    (tmp_path / "status").write_text("Name:\tpython\n")
    monkeypatch.setattr(memory, "RESET", tmp_path / "file")
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    with ClientMemory() as used:
        pass
    assert used.growth is None


def test_redis_memory_counts_a_key_deleted_within_the_block(tmp_path: Path) -> None:
    server = RedisProcess(tmp_path)
    server.start()
    try:
        with server.connection() as connection:
            # The client's own buffers of such a size are there before.
            connection.set("key", bytes(8 * MEGABYTE))
            connection.delete("key")
            with RedisMemory(server.url) as used:
                connection.set("key", bytes(64 * MEGABYTE))
                connection.delete("key")
    finally:
        server.close()
    assert used.growth is not None
    assert 60 < used.growth < 200


def test_without_redis_there_is_nothing_to_tell() -> None:
    with RedisMemory(None) as used:
        pass
    assert used.growth is None
