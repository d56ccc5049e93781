"""`gather`, `wait`, `as_completed` and `progress`; on engines that need no broker."""

import asyncio
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distribute_challenge import as_completed, compute_this, gather, progress, wait
from distribute_challenge.errors import CallCancelledError, CallError, ResultTimeoutError
from tests.calls import wait_for
from tests.processes import PATIENCE, wait_until


@compute_this(backend="threads")
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@compute_this(backend="threads")
def fail(text: str) -> Any:
    raise ValueError(text)


class Point(NamedTuple):
    x: Any
    y: Any


def count(path: str, value: int) -> int:
    with open(path, "a") as file:
        file.write("x")
    return value


def waiting(path: Path) -> Any:
    return wait_for.with_options(backend="threads")(str(path))


def test_gather_returns_values_in_the_structure_of_its_arguments() -> None:
    future = add(1).submit()
    assert gather(future) == 2
    assert gather(future, add(2), 3) == [2, 3, 3]
    assert gather([future, {"k": (add(2), {4})}]) == [2, {"k": (3, {4})}]
    assert gather(Point(add(1), frozenset([future]))) == Point(2, frozenset([2]))
    assert gather([]) == []


def test_a_call_that_is_given_twice_runs_once(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    once = compute_this(count, backend="threads")(str(path), 1)
    assert gather(once, [add(once), once]) == [1, [2, 1]]
    assert gather(add(once), once) == [2, 1]
    assert path.read_text() == "xx"


def test_the_first_exception_is_raised_at_once_and_the_others_are_cancelled(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="no luck"):
        gather(waiting(tmp_path / "door"), fail("no luck"))
    (tmp_path / "door").touch()


def test_gather_returns_exceptions_in_place_of_values_if_asked(tmp_path: Path) -> None:
    cancelled = waiting(tmp_path / "door").submit()
    cancelled.cancel(force=True)
    error, value, other = gather(fail("no"), add(1), cancelled, return_exceptions=True)
    assert isinstance(error, ValueError)
    assert value == 2
    assert isinstance(other, CallCancelledError)
    (tmp_path / "door").touch()


def test_gather_raises_after_its_timeout_with_the_number_of_missing_results(tmp_path: Path) -> None:
    ended = add(1).submit()
    ended.result()
    with pytest.raises(ResultTimeoutError, match=r"1 of 2 calls gave no result within timeout=0.2"):
        gather(waiting(tmp_path / "door"), ended, timeout=0.2)
    (tmp_path / "door").touch()


def test_gather_and_wait_raise_if_a_call_cannot_be_submitted(tmp_path: Path) -> None:
    door = tmp_path / "door"
    for collect in (gather, lambda *things: wait(things)):
        with pytest.raises(CallError, match="cannot be pickled"):
            collect(waiting(door), add(threading.Lock()))  # type: ignore[operator]
    door.touch()


def test_a_coroutine_awaits_the_values(tmp_path: Path) -> None:
    async def main() -> None:
        assert await gather(add(1), [add(2)]) == [2, [3]]
        assert await gather([]) == []
        error, value = await gather(fail("no"), add(1), return_exceptions=True)
        assert (type(error), value) == (ValueError, 2)
        with pytest.raises(ValueError, match="no luck"):
            await gather(waiting(tmp_path / "door"), fail("no luck"))
        with pytest.raises(ResultTimeoutError, match="1 of 1 calls"):
            await gather(waiting(tmp_path / "door"), timeout=0.1)

    asyncio.run(main())
    (tmp_path / "door").touch()


def test_the_loop_goes_on_while_a_coroutine_waits(tmp_path: Path) -> None:
    door = tmp_path / "door"

    async def main() -> Any:
        asyncio.get_running_loop().call_soon(door.touch)
        return await gather(waiting(door))

    assert asyncio.run(main()) == "done"


def test_a_cancelled_task_cancels_its_calls(tmp_path: Path) -> None:
    door = tmp_path / "door"

    async def main() -> None:
        task = asyncio.ensure_future(gather(waiting(door)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    door.touch()


def test_a_result_timeout_error_raised_by_a_call_passes_unchanged(tmp_path: Path) -> None:
    """The other calls are cancelled, as after any exception."""
    begun, stopped = tmp_path / "begun", tmp_path / "stopped"

    @compute_this(backend="threads")
    def late() -> None:
        wait_until(begun.exists)
        raise ResultTimeoutError("its own")

    @compute_this(backend="threads")
    def endless() -> None:
        try:
            begun.touch()
            wait_until(lambda: False)
        finally:
            stopped.touch()

    async def main() -> None:
        with pytest.raises(ResultTimeoutError, match="its own"):
            await gather(late(), endless())

    asyncio.run(main())
    wait_until(stopped.exists, within=PATIENCE / 2)


def test_waiting_gives_the_futures_that_are_done(tmp_path: Path) -> None:
    door = tmp_path / "door"
    slow, fast = waiting(door).submit(), add(1)
    done, not_done = wait([slow, fast], return_when="FIRST_COMPLETED")
    assert not_done == {slow}
    assert [future.result() for future in done] == [2]
    door.touch()
    assert wait([slow]).done == {slow}
    assert wait([slow], timeout=0).not_done == set()


def test_as_completed_yields_futures_in_the_order_in_which_they_end(tmp_path: Path) -> None:
    door = tmp_path / "door"
    slow = waiting(door).submit()
    ended = as_completed([slow, add(1), slow])
    assert next(ended).result() == 2
    door.touch()
    assert next(ended) is slow
    assert list(ended) == []
    with pytest.raises(ResultTimeoutError, match="1 of 1"):
        list(as_completed([waiting(tmp_path / "other")], timeout=0.3))
    (tmp_path / "other").touch()


def test_gather_waits_for_calls_longer_than_one_internal_wait(tmp_path: Path) -> None:
    """It is made of short ones, in which Ctrl+C is noticed."""
    door = tmp_path / "door"
    timer = threading.Timer(0.6, door.touch)
    timer.start()
    assert gather([waiting(door)]) == ["done"]
    timer.join()


def test_only_futures_and_calls_can_be_waited_for() -> None:
    with pytest.raises(CallError, match="got 7 of type int, expected a future"):
        wait([add(1), 7])


def test_a_bar_shows_how_many_have_ended_and_failed(capsys: pytest.CaptureFixture[str]) -> None:
    futures = progress([add(1), fail("no"), add(2)])
    assert [future.exception() is None for future in futures] == [True, False, True]
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "failed=1" in shown


def test_the_backend_of_gather_applies_to_all_calls() -> None:
    thread = compute_this(threading.get_ident)
    assert gather(thread(), backend="local") == threading.get_ident()
