"""`map_reduce`: what it takes, what it refuses, and when it runs."""

import operator
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice, repeat
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import compute_this, map_reduce
from distribute_challenge.errors import (
    CallError,
    NeverRunWarning,
    OptionError,
    UnsupportedFunctionError,
)
from distribute_challenge.execution_backends.pools import ThreadsExecutionBackend
from distribute_challenge.mapreduce import interface
from distribute_challenge.mapreduce.interface import KeyResults
from distribute_challenge.mapreduce.map_chunk import Items
from tests.processes import wait_until


def pair(number: int) -> list[tuple[int, int]]:
    return [(number, 1)]


def run(items: Any, **options: Any) -> KeyResults[Any, Any]:
    return map_reduce(pair, items, **{"fold": operator.add, "backend": "threads", **options})


async def asynchronous(*_: Any) -> Any: ...


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fold": None}, "got neither of fold and reducer"),
        ({"reducer": max}, "got both of fold and reducer"),
        ({"combiner": max}, "got combiner with fold"),
        ({"partitions": 0}, "partitions=0: expected a whole number of at least 1"),
        ({"partitions": True}, "partitions=True: expected"),
        ({"partitions": 1.5}, "partitions=1.5: expected"),
        ({"timeout": -1}, "timeout=-1: expected seconds"),
        ({"nonsense": 1}, "'nonsense' is no option"),
        ({"queue": "gpu"}, "queue"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(options: dict[str, Any], text: str) -> None:
    """Also one that the backend does not support."""
    with pytest.raises(OptionError, match=text):
        run([1], **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"fold": 5}, "fold=5: expected a function"),
        ({"fold": asynchronous}, "fold=asynchronous: it is an async function"),
        ({"key": asynchronous}, "key=asynchronous: it is an async function"),
    ],
)
def test_a_function_that_gives_no_value_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UnsupportedFunctionError, match=text):
        run([1], **options)


@pytest.mark.parametrize("items", [count(), cycle("ab"), repeat(1)])
def test_an_endless_input_is_refused(items: Any) -> None:
    """With what to write; a part of it is taken."""
    with pytest.raises(CallError, match=r"never ends.*itertools\.islice"):
        run(items)
    assert sum(value for _, value in map_reduce(
        lambda _: [("all", 1)], islice(items, 20), fold=operator.add, backend="threads"
    )) == 20  # fmt: skip


def test_a_finite_repeat_is_accepted_as_input() -> None:
    assert dict(run(repeat(7, 30))) == {7: 30}


@pytest.mark.parametrize(
    "options",
    [
        {"fold": operator.add},
        {"fold": operator.add, "key": str},
        {"reducer": lambda key, values: sum(values)},
    ],
    ids=["fold", "key", "reducer"],
)
def test_a_mapper_may_give_a_dictionary(options: dict[str, Any]) -> None:
    """Or an empty one."""
    found = map_reduce(Counter, ["aab", "", "bc"], **options, backend="threads")
    assert dict(found) == {"a": 2, "b": 2, "c": 1}


def test_functions_may_be_decorated() -> None:
    """They are called as they are without the decorator."""

    def mapper(number: int) -> list[tuple[float, int]]:
        return [(number / 2, number)]

    def reducer(key: str, values: Iterator[int]) -> tuple[str, int]:
        return key, sum(values)

    decorated: list[Any] = [compute_this(each) for each in (mapper, reducer, str)]
    mapper, reducer, key = decorated
    found = map_reduce(mapper, [1, 2], reducer=reducer, key=key, backend="threads", sort=True)
    assert list(found) == [("0.5", ("0.5", 1)), ("1.0", ("1.0", 2))]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "mapper returned None, expected pairs of a key and a value"),
        ([1], "mapper gave 1, expected a pair of a key and a value, as in: yield word, 1"),
        ([(1, 2), (1, 2, 3)], r"mapper gave \(1, 2, 3\), expected a pair"),
        ([(1, 2, 3)], r"mapper gave \(1, 2, 3\), expected a pair"),
        (["abc"], "mapper gave 'abc', expected a pair"),
    ],
)
def test_a_mapper_that_gives_no_pairs_is_an_error_that_shows_what_it_gave(
    given: Any, text: str
) -> None:
    def mapper(item: int) -> Any:
        return given

    with pytest.raises(CallError, match=text) as caught:
        list(map_reduce(mapper, [1], fold=max, backend="threads"))
    assert caught.value.__notes__[0].startswith("item 0: mapper(1)")


@pytest.mark.parametrize("key", [["a"], ({"a"}, 1)])
def test_a_key_that_cannot_be_hashed_is_refused_with_what_to_do(key: Any) -> None:
    with pytest.raises(CallError, match=r"got the key .* of type \w+, expected a text.*key=str"):
        list(map_reduce(lambda item: [("a", 1), (key, 1)], [1], fold=max, backend="threads"))


def test_a_type_error_of_a_fold_is_raised_unchanged_with_a_note_of_the_key() -> None:
    pairs = map_reduce(lambda item: [("a", 1), ("a", "b")], [1], fold=max, backend="threads")
    with pytest.raises(TypeError, match="not supported") as caught:
        list(pairs)
    assert caught.value.__notes__[0] == "key 'a' of max"


def test_errors_name_the_items_of_a_call() -> None:
    """Not what the library gives to it."""
    assert repr(Items(3, "a")) == "item 3"
    assert repr(Items(3, "abc")) == "items 3 to 5"


def test_no_item_is_read_and_no_call_runs_before_the_first_pair_is_asked_for() -> None:
    """And no item is read."""
    read: list[int] = []
    pairs = run(read.append(number) or number for number in range(3))  # type: ignore[func-returns-value] # so they are noted
    assert read == []
    assert next(pairs)[1] == 1
    assert read == [0, 1, 2]
    assert len(list(pairs)) == 2


def test_a_map_reduce_that_is_never_run_warns_at_its_line() -> None:
    """As a map does, with the line that made it."""
    pairs = run([1])
    with pytest.warns(NeverRunWarning, match="a map_reduce over pair was made and") as told:
        del pairs
    assert told[0].filename == __file__


def test_the_default_is_four_partitions_for_each_process() -> None:
    """One at least, and no more than a few hundred unless there are more processes."""
    usual = interface._usual_partitions
    assert [usual(processes) for processes in (0, 1, 2, 64, 100, 1000)] == [
        1, 4, 8, 256, 256, 1000
    ]  # fmt: skip


def test_an_error_of_the_input_is_raised() -> None:
    """After that, no call runs."""

    def items() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(run(items()))


@pytest.mark.parametrize("step", [next, list])
def test_a_traceback_has_no_frames_of_the_library(step: Callable[[Any], Any]) -> None:
    """Only the line of the caller, and the mapper's."""

    def mapper(item: int) -> Any:
        raise LookupError

    with pytest.raises(LookupError) as caught:
        step(map_reduce(mapper, [1], fold=max, backend="threads"))
    assert {str(entry.path) for entry in caught.traceback} == {__file__}


@pytest.mark.parametrize("end", [KeyResults.close, lambda pairs: None], ids=["close", "delete"])
def test_closing_or_deleting_the_results_stops_running_calls(
    tmp_path: Path, end: Callable[[Any], None]
) -> None:
    """So does deleting it."""

    def reducer(key: int, values: Iterator[int]) -> int:
        if key == 7:
            try:
                (tmp_path / "begun").touch()
                while True:
                    time.sleep(0.01)
            finally:
                (tmp_path / "stopped").touch()
        return key

    with ThreadsExecutionBackend(2) as backend:
        pairs = map_reduce(pair, range(20), reducer=reducer, partitions=20, backend=backend)
        assert next(pairs)[1] != 7
        wait_until((tmp_path / "begun").exists, "the begin of a call that does not end")
        end(pairs)
        del pairs
        wait_until((tmp_path / "stopped").exists, "its end")


def test_both_waves_show_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """The first counts items, the second partitions; each has the name of its function."""
    assert len(dict(run(range(30), progress=True, partitions=3))) == 30
    shown = capsys.readouterr().err
    assert "pair: 100%" in shown
    assert "30/30" in shown
    assert "add: 100%" in shown
    assert "3/3" in shown
    assert "item/s" in shown
