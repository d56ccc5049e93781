"""What a map knows of a chunk."""

import pytest

from distribute_challenge.core.chunk import Chunk
from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future


def chunk_with(future: Future[ChunkResult] | None) -> Chunk:
    chunk = Chunk([(number,) for number in range(4)], 0)
    chunk.future = future
    return chunk


def test_a_chunk_that_was_not_sent_has_nothing_to_cancel() -> None:
    chunk_with(None).cancel(force=True)


@pytest.mark.parametrize("has_ended", [False, True])
def test_cancelling_reaches_the_calls_that_still_run(has_ended: bool) -> None:
    """Also where no chunk of their own stands for them yet."""
    future: Future[ChunkResult] = Future()
    running: Future[ChunkResult] = Future()
    if has_ended:
        future.resolve(ChunkResult([1, 2], running, 1))
    chunk_with(future).cancel(force=True)
    assert (future.cancelled(), running.cancelled()) == (not has_ended, has_ended)


def test_cancelling_leaves_a_failed_or_running_chunk_as_it_is() -> None:
    """Without a wait for its result."""
    failed: Future[ChunkResult] = Future()
    failed.fail(ValueError("no"))
    chunk_with(failed).cancel(force=True)
    begun: Future[ChunkResult] = Future()
    begun.withdraw_with(lambda: False)
    chunk_with(begun).cancel(force=False)
    assert not begun.done()
