"""Map-reduce, over each engine."""

import operator
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distribute_challenge import ExecutionBackend, compute_this, map_reduce
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import CallError
from tests.contract.engines import CLUSTERS

pytestmark = pytest.mark.celery


def words(line: str) -> Iterator[tuple[str, int]]:
    for word in line.split():
        yield word, 1


def counts(line: str) -> Counter[str]:
    return Counter(line.split())


def by_remainder(number: int) -> list[tuple[int, int]]:
    return [(number % 5, number)]


def with_process(number: int) -> Iterator[tuple[str, set[int]]]:
    yield "processes", {os.getpid()}


@compute_this
def double(x: int) -> int:
    return x * 2


@pytest.mark.slow
@pytest.mark.parametrize(("mapper", "partitions"), [(words, None), (words, 3), (counts, None)])
def test_a_fold_gives_what_a_counter_gives(
    engine: tuple[str, ExecutionBackend], mapper: Any, partitions: int | None
) -> None:
    """Whatever the texts are; mappers are generators, or give a dictionary."""

    @settings(
        deadline=None,
        max_examples=3 if engine[0] in CLUSTERS else 10,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(st.text(alphabet="ab \u00e9\ud800")))
    def check(lines: list[str]) -> None:
        found = list(
            map_reduce(mapper, lines, fold=operator.add, partitions=partitions, backend=engine[1])
        )
        right = Counter(word for line in lines for word in line.split())
        assert len(found) == len(right)
        assert dict(found) == right

    check()


def test_a_reducer_gets_all_values_of_a_key_in_the_order_of_the_items(
    backend: ExecutionBackend,
) -> None:
    """Read from a generator, and sorted by key."""
    pairs = map_reduce(
        by_remainder,
        (number for number in range(1000)),
        reducer=lambda key, values: (key, list(values)),
        sort=True,
        partitions=3,
        backend=backend,
    )
    assert list(pairs) == [(key, (key, list(range(key, 1000, 5)))) for key in range(5)]


def test_values_are_combined_before_they_travel(backend: ExecutionBackend) -> None:
    def total(key: int, values: Iterator[int]) -> int:
        return sum(values)

    found = map_reduce(by_remainder, range(1000), reducer=total, combiner=total, backend=backend)
    assert dict(found) == {key: sum(range(key, 1000, 5)) for key in range(5)}


def test_map_reduce_passes_on_large_arrays(backend: ExecutionBackend) -> None:
    """Arrays, of which a reducer gets several at a time, and which are its own."""

    def arrays(number: int) -> Iterator[tuple[int, Any]]:
        yield number % 2, numpy.full(50_000, number)

    def total(key: int, values: Iterator[Any]) -> Any:
        first = next(values)
        for value in values:
            first += value
        return first

    found = dict(map_reduce(arrays, range(6), reducer=total, backend=backend))
    assert [int(found[key][0]) for key in (0, 1)] == [6, 9]
    assert found[0].shape == (50_000,)


class Word:
    """A class of the user's own."""

    def __init__(self, text: str) -> None:
        self.text = text


def test_keys_of_unsupported_types_need_a_key_function(backend: ExecutionBackend) -> None:
    """Without one, the error says so; the values may be of any class."""

    def lengths(text: str) -> list[tuple[float, Word]]:
        return [(len(text) / 2, Word(text))]

    def first(key: str, values: Iterator[Word]) -> Word:
        return next(values)

    found = dict(map_reduce(lengths, ["a", "bcd", "e"], reducer=first, key=str, backend=backend))
    assert {key: word.text for key, word in found.items()} == {"0.5": "a", "1.5": "bcd"}
    with pytest.raises(CallError, match=r"got the key 0\.5 of type float.*key=str"):
        list(map_reduce(lengths, ["a"], reducer=first, backend=backend))


def test_an_error_of_a_mapper_names_the_item(backend: ExecutionBackend) -> None:
    def inverse(number: int) -> list[tuple[int, float]]:
        return [(1, 1 / number)]

    pairs = map_reduce(inverse, [4, 3, 2, 1, 0], fold=operator.add, backend=backend)
    with pytest.raises(ZeroDivisionError) as caught:
        next(pairs)
    assert "item 4: inverse(0)" in caught.value.__notes__
    with pytest.raises(StopIteration):
        next(pairs)


def test_an_error_of_a_reducer_names_the_key(backend: ExecutionBackend) -> None:
    def raises(key: int, values: Iterator[int]) -> int:
        raise LookupError(key) if key == 3 else ValueError

    pairs = map_reduce(by_remainder, [3], reducer=raises, backend=backend)
    with pytest.raises(LookupError) as caught:
        list(pairs)
    assert "key 3 of raises" in caught.value.__notes__


@pytest.mark.parametrize("sort", [False, True])
def test_map_reduce_without_items_or_pairs_gives_nothing(
    backend: ExecutionBackend, sort: bool
) -> None:
    """Neither no items nor items without pairs."""
    assert list(map_reduce(words, [], fold=operator.add, sort=sort, backend=backend)) == []
    assert list(map_reduce(words, ["", " "], fold=operator.add, sort=sort, backend=backend)) == []


def test_calls_and_futures_as_items_are_replaced_by_their_values(backend: ExecutionBackend) -> None:
    items = [double(2), double(3).submit(backend), 5]
    found = map_reduce(by_remainder, items, fold=operator.add, backend=backend)
    assert dict(found) == {4: 4, 1: 6, 0: 5}


def test_options_hold_for_mappers_and_reducers(backend: ExecutionBackend) -> None:
    """Each call may be tried again, so that a mapper and a reducer may fail at first."""
    marks: set[str] = set()

    def once(name: str) -> None:
        # In the process of the call, which keeps its modules.
        seen = vars(os).setdefault("_seen_by_map_reduce", marks)
        if name not in seen:
            seen.add(name)
            raise ConnectionError(name)

    def flaky(item: str) -> list[tuple[str, str]]:
        once(f"map {item}")
        return [(item, item)]

    def total(key: str, values: Iterator[str]) -> str:
        once(f"reduce {key}")
        return "".join(values)

    name = os.urandom(8).hex()
    found = map_reduce(
        flaky, [name], reducer=total, retries=1, retry_on=ConnectionError, backend=backend
    )
    assert dict(found) == {name: name}


def test_map_reduce_inside_a_call_runs_in_the_process_of_that_call(
    backend: ExecutionBackend,
) -> None:
    """In the process of that call, as each call inside a call does."""

    @compute_this
    def inner() -> dict[str, set[int]]:
        pairs = map_reduce(with_process, range(3), fold=operator.or_)
        return {**dict(pairs), "own": {os.getpid()}}

    found = inner().compute(backend)
    assert found["processes"] == found["own"]


def test_map_reduce_uses_the_options_of_a_decorated_mapper(backend: ExecutionBackend) -> None:
    @compute_this(timeout=30)
    def mapper(number: int) -> list[tuple[int, int]]:
        return [(number, number)]

    assert mapper.options == CallOptions(timeout=30)
    assert dict(map_reduce(mapper, [1, 2], fold=max, backend=backend)) == {1: 1, 2: 2}
