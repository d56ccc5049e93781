"""Each engine cancels the calls that it can, and says of the others that it cannot."""

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distribute_challenge import ExecutionBackend, Future, compute_this
from distribute_challenge.errors import CallCancelledError
from tests.calls import wait_for
from tests.contract.engines import RUN_ON_SUBMIT, TIMEOUT
from tests.contract.values import add
from tests.processes import wait_until


@contextmanager
def busy_workers(background: ExecutionBackend, door: Path) -> Iterator[list[Future[str]]]:
    """Calls that use all workers in the block, so that no other call begins there; then they end.

    They are many more than there are workers: Dask may give a worker two of a few, and none to
    another.
    """
    calls = [wait_for(str(door)).submit(background) for _ in range(12)]
    try:
        # A call whose worker lacks the function is sent once more, behind the later ones.
        wait_until(lambda: sum(call.running() for call in calls) >= background.concurrency)
        yield calls
    finally:
        door.touch()
    assert [call.result(TIMEOUT) for call in calls] == ["done"] * 12


def test_a_call_that_has_not_begun_can_be_cancelled(
    background: ExecutionBackend, tmp_path: Path
) -> None:
    with busy_workers(background, tmp_path / "door"):
        last = add(1).submit(background)
        assert not last.running()
        assert repr(last) == "<Future add(1) pending>"
        assert last.cancel()
        assert last.cancelled()
        with pytest.raises(CallCancelledError):
            last.result(TIMEOUT)


def test_a_call_that_runs_or_is_done_cannot_be_cancelled(
    background: ExecutionBackend, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    door = str(tmp_path / "door")
    future = wait_for(door).submit(background)
    try:
        eventually(Path(door + ".begun").exists)
        eventually(future.running)
        assert not future.cancel()
    finally:
        Path(door).touch()
    assert future.result(TIMEOUT) == "done"
    assert not future.cancel()
    assert not future.running()


def test_a_call_that_runs_can_be_cancelled_by_force_and_leaves_its_slot(
    background: ExecutionBackend, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """It counts as cancelled, not failed. Retries and time limit do not run it again."""

    def begin(folder: str) -> None:
        Path(folder, str(time.time())).touch()

    def wait(folder: str) -> None:
        begin(folder)
        while True:
            time.sleep(0.005)

    async def wait_async(folder: str) -> None:
        begin(folder)
        await asyncio.sleep(TIMEOUT)

    for function in (wait, wait_async):
        folder = tmp_path / function.__name__
        folder.mkdir()
        future = compute_this(function, timeout=TIMEOUT, retries=3, retry_on=BaseException)(
            str(folder)
        ).submit(background)
        neighbour = add(1).submit(background)
        eventually(lambda folder=folder: bool(list(folder.iterdir())))  # type: ignore[misc]
        assert future.cancel(force=True)
        assert future.cancelled()
        assert future.cancel(force=True)
        assert concurrent.futures.wait([future], timeout=0).done == {future}
        with pytest.raises(CallCancelledError):
            future.result()
        assert neighbour.result(TIMEOUT) == 2
        with busy_workers(background, tmp_path / f"{function.__name__} door"):
            pass  # As many calls as there are slots run beside each other.
        assert len(list(folder.iterdir())) == 1


def test_a_future_that_is_awaited_can_be_cancelled_by_force(
    background: ExecutionBackend, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    async def main() -> None:
        future = wait_for(str(tmp_path / "door")).submit(background)
        waiting = asyncio.ensure_future(asyncio.wrap_future(future))
        await asyncio.to_thread(eventually, (tmp_path / "door.begun").exists)
        assert future.cancel(force=True)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, TIMEOUT)

    asyncio.run(main())


def test_forced_cancel_cancels_a_waiting_call_and_leaves_an_ended_one_alone(
    background: ExecutionBackend, tmp_path: Path
) -> None:
    """With and without force, `cancel` cancels the first and not the second."""
    with busy_workers(background, tmp_path / "door") as running:
        last = add(1).submit(background)
        assert last.cancel(force=True)
    assert last.cancelled()
    assert not running[0].cancel(force=True)
    assert not running[0].cancelled()


def test_forced_cancel_returns_false_if_the_call_has_ended_when_submit_returns(
    engine: tuple[str, ExecutionBackend],
) -> None:
    name, backend = engine
    if name in RUN_ON_SUBMIT:
        assert not add(1).submit(backend).cancel(force=True)
