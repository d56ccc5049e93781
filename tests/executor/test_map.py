"""`Executor.map`: chunks, buffers, and the limit to the time that it waits."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distribute_challenge import Executor
from distribute_challenge.errors import ResultTimeoutError
from tests.executor.calls import double, parse, wait_for

Eventually = Callable[[Callable[[], bool]], None]
TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


def test_map_submits_all_calls_at_once_or_as_many_as_the_buffer_holds() -> None:
    """No more calls are out than the buffer holds, and the iterables are not read ahead of that."""
    with Executor(backend="threads") as executor:
        taken = iter(range(20))
        results = executor.map(abs, taken)
        assert next(taken, None) is None
        assert list(results) == list(range(20))
        taken = iter(range(20))
        results = executor.map(abs, taken, buffersize=3)
        assert next(taken) == 3
        assert list(results) == [0, 1, 2, *range(4, 20)]


def test_a_map_that_has_ended_consumes_no_more_items() -> None:
    long, short = iter(range(10)), [1, 1, 1]
    with Executor(backend="threads") as executor:
        assert list(executor.map(pow, long, short, buffersize=2)) == [0, 1, 2]
    assert next(long) == 4  # `zip` has read one item more than there are pairs.


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_chunks_of_any_size_give_the_same_results(size: int) -> None:
    with Executor(backend="threads") as executor:
        results = executor.map(pow, range(7), range(7), chunksize=size, buffersize=2)
        assert list(results) == [number**number for number in range(7)]
        assert list(executor.map(double, range(7), chunksize=size)) == list(range(0, 14, 2))


def test_an_exception_in_a_chunk_names_its_item() -> None:
    with Executor(backend="threads") as executor:
        results = executor.map(parse, ["1", "2", "3", "x", "5"], chunksize=2)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(ValueError, match="invalid literal") as caught:
            next(results)
        assert caught.value.__notes__[0] == "item 3: parse('x')"


def test_a_map_stops_waiting_after_its_timeout(tmp_path: Path, eventually: Eventually) -> None:
    """Calls that have not begun are cancelled, and do not run."""
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    late = tmp_path / "late"
    with Executor(1, backend="threads") as executor:
        running = executor.submit(wait_for, door, str(begun))
        eventually(begun.exists)
        with pytest.raises(ResultTimeoutError, match=r"within timeout=0 s, counted from the call"):
            next(executor.map(wait_for, [door], [str(late)], timeout=0))
        Path(door).touch()
        assert running.result(TIMEOUT) == door
    assert not late.exists()


def test_a_result_timeout_error_raised_by_a_call_passes_unchanged() -> None:
    def give_up() -> None:
        raise ResultTimeoutError("no luck")

    with (
        Executor(backend="threads") as executor,
        pytest.raises(ResultTimeoutError, match=r"^no luck"),
    ):
        next(executor.map(lambda _: give_up(), [1], timeout=TIMEOUT))


def test_a_map_that_is_dropped_cancels_what_has_not_begun(
    tmp_path: Path, eventually: Eventually
) -> None:
    door, begun = str(tmp_path / "door"), tmp_path / "begun"
    late = tmp_path / "late"
    with Executor(1, backend="threads") as executor:
        results = executor.map(wait_for, [door] * 3, [str(begun), str(late), str(late)])
        eventually(begun.exists)
        Path(door).touch()
        assert next(results) == door
        Path(door).unlink()
        results.close()  # type: ignore[attr-defined] # it is a generator
        Path(door).touch()


@pytest.mark.parametrize("name", ["chunksize", "buffersize"])
def test_chunksize_and_buffersize_below_one_or_not_whole_are_refused(name: str) -> None:
    with Executor(backend="local") as executor:
        with pytest.raises(ValueError, match=f"{name} must be greater than 0, got 0"):
            executor.map(abs, [1], **{name: 0})  # type: ignore[arg-type] # a wrong one
        with pytest.raises(TypeError, match=f"{name}='2': expected a whole number"):
            executor.map(abs, [1], **{name: "2"})  # type: ignore[arg-type] # a wrong one
