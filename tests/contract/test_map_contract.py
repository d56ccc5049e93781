"""Maps on every engine, in the sync form and with `async for`."""

import asyncio
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, compute_this
from distribute_challenge.errors import SerialisationError, SignatureError
from tests.calls import note
from tests.contract.values import add

TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


@compute_this
def invert(x: int) -> float:
    return 1 / x


@compute_this
def wait_at(door: str, number: int) -> int:
    """Say that the call has begun, and wait until the door is open."""
    Path(f"{door}.{number}").touch()
    deadline = time.monotonic() + TIMEOUT
    while not Path(door).exists():
        assert time.monotonic() < deadline, "the door is closed"
        time.sleep(0.005)
    return number


@compute_this
def note_at(path: str, door: str, number: int) -> int:
    """Write a number into a file; all but the first wait until the door is open."""
    note(path, number)
    return wait_at.local(door, number) if number else number


def test_async_for_gives_the_same_results_as_for(backend: ExecutionBackend) -> None:
    async def main() -> list[Any]:
        return [
            [value async for value in add.map(range(300), backend=backend)],
            [value async for value in add.map([1, 2, 3], [4, 5], backend=backend)],
            [value async for value in add.starmap([(1, 2), (3,)], backend=backend)],
            {value async for value in add.map(range(50), ordered=False, backend=backend)},
            [value async for value in add.map([], backend=backend)],
        ]

    assert asyncio.run(main()) == [list(range(1, 301)), [5, 7], [3, 4], set(range(1, 51)), []]


def test_async_for_raises_the_same_exceptions_as_for(backend: ExecutionBackend) -> None:
    """With the same notes and frames, after the results before them."""

    values: list[float] = []

    async def main() -> None:
        async for value in invert.map([1, 2, 0, 4], batch_size=4, backend=backend):
            values.append(value)  # noqa: PERF401 - they are needed after the exception

    with pytest.raises(ZeroDivisionError) as expected:
        list(invert.map([1, 2, 0, 4], batch_size=4, backend=backend))
    with pytest.raises(ZeroDivisionError) as caught:
        asyncio.run(main())
    assert values == [1.0, 0.5]
    errors = expected.value, caught.value
    # Behind the call, a note says where it ran.
    notes = [[note.partition("),")[0] for note in each.__notes__] for each in errors]
    assert notes[0] == notes[1]
    names = [[each.name for each in traceback.extract_tb(one.__traceback__)] for one in errors]
    assert names[0][1:] == names[1][names[1].index("main") + 1 :]
    assert "invert" in names[0]


def test_exceptions_take_the_place_of_values_if_asked(backend: ExecutionBackend) -> None:
    async def main() -> list[Any]:
        return [value async for value in invert.map([1, 0, 2], on_error="return", backend=backend)]

    first, error, last = asyncio.run(main())
    assert (first, type(error), last) == (1.0, ZeroDivisionError, 0.5)


def test_errors_of_the_client_come_as_in_the_sync_form(backend: ExecutionBackend) -> None:
    """The items, and not the engine, are what is wrong."""

    async def main() -> None:
        with pytest.raises(SignatureError):
            [value async for value in add.starmap(iter([(1, 2, 3)]), backend=backend)]
        with pytest.raises(SerialisationError):
            [value async for value in add.map(iter([asyncio.sleep]), [(each for each in ())])]

    asyncio.run(main())


def test_the_event_loop_goes_on_while_calls_run(backend: ExecutionBackend, tmp_path: Path) -> None:
    """Another task opens the door that the call waits for, once the call has begun."""
    door = tmp_path / "door"

    begun = tmp_path / "door.7"

    async def open_door() -> None:
        while not begun.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.005)
        door.touch()

    async def main() -> list[int]:
        opening = asyncio.create_task(open_door())
        values = [value async for value in wait_at.map([str(door)], [7], backend=backend)]
        await opening
        return values

    assert asyncio.run(main()) == [7]


def test_a_loop_that_is_left_early_cancels_what_has_not_begun(
    background: ExecutionBackend, tmp_path: Path
) -> None:
    door, path = tmp_path / "door", tmp_path / "noted"
    items = [(str(path), str(door), number) for number in range(200)]

    async def main() -> None:
        async for value in note_at.starmap(items, batch_size=1, backend=background):
            assert value == 0
            break

    asyncio.run(main())
    door.touch()
    # A call that is submitted later begins after those that had been sent before.
    last = [add(number).submit(background) for number in range(8)]
    assert [future.result(TIMEOUT) for future in last] == list(range(1, 9))
    assert len(path.read_text().split()) < 20


@pytest.mark.slow
def test_map_and_starmap_give_results_in_order(backend: ExecutionBackend) -> None:
    assert list(add.map(range(300), backend=backend)) == list(range(1, 301))
    assert list(add.map([1, 2, 3], [4, 5], backend=backend)) == [5, 7]
    assert list(add.starmap([(1, 2), (3,)], backend=backend)) == [3, 4]
    assert sorted(add.map(range(50), ordered=False, backend=backend)) == list(range(1, 51))


def test_map_returns_errors_in_their_places_if_asked(backend: ExecutionBackend) -> None:
    def invert(x: int) -> float:
        return 1 / x

    results = list(compute_this(invert).map([1, 0, 2], on_error="return", backend=backend))
    assert (results[0], results[2]) == (1.0, 0.5)
    assert isinstance(results[1], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        list(compute_this(invert).map([1, 0, 2], backend=backend))


def test_an_item_that_cannot_be_pickled_fails_alone(backend: ExecutionBackend) -> None:
    items: list[Any] = [1, threading.Lock(), 3]
    results = list(compute_this(str).map(items, on_error="return", batch_size=3, backend=backend))
    assert results[::2] == ["1", "3"]
    assert isinstance(results[1], SerialisationError)
    assert "argument 1 of str" in str(results[1])
