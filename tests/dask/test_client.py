"""`Client`: futures of collections, and values that are kept."""

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy
import pytest
from dask.utils_test import inc

from distribute_challenge import Future, gather, use_backend
from distribute_challenge.dask import Client, get
from distribute_challenge.dask.persisted import persisted
from distribute_challenge.errors import CallCancelledError, CallError, OptionError


@pytest.fixture
def client() -> Iterator[Client]:
    with use_backend("threads"):
        yield Client()


def wait_for(path: Path) -> str:
    while not path.exists():
        time.sleep(0.005)
    return "done"


def test_a_client_is_the_scheduler_of_a_block(client: Client) -> None:
    before = dask.config.get("scheduler", None)
    with client as entered:
        assert entered is client
        assert dask.config.get("scheduler") is client
        assert db.range(10, npartitions=3).sum().compute() == 45
    assert dask.config.get("scheduler", None) is before
    assert da.arange(10, chunks=3).sum().compute(scheduler=client) == 45


def test_compute_gives_a_future_at_once(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "file"
    waiting = dask.delayed(wait_for)(path)
    future = client.compute(dask.delayed(str.upper)(waiting))
    assert isinstance(future, Future)
    assert not future.done()
    path.touch()
    assert future.result() == "DONE"


def test_several_collections_give_several_futures(client: Client) -> None:
    array = da.arange(10, chunks=3)
    futures = client.compute([array, array.sum(), dask.delayed(5)])
    values = gather(futures)
    assert numpy.array_equal(values[0], numpy.arange(10))
    assert values[1:] == [45, 5]


def test_cancelling_the_future_cancels_the_calls_that_it_needs(
    client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    future = client.compute(dask.delayed(str.upper)(dask.delayed(wait_for)(path)))
    assert future.cancel(force=True)
    with pytest.raises(CallCancelledError):
        future.result()
    path.touch()


def test_persisted_values_are_computed_once(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "runs"

    def note(block: Any) -> Any:
        with path.open("a") as file:
            file.write("x")
        return block + 1

    array = da.arange(10, chunks=5).map_blocks(note, dtype=int, meta=numpy.array((), dtype=int))
    kept = client.persist(array)
    assert kept.sum().compute(scheduler=client) == 55
    assert (kept * 2).sum().compute(scheduler=client) == 110
    assert path.read_text() == "xx"
    assert kept.sum().compute(scheduler="threads") == 55


def test_persisted_values_are_kept_as_long_as_a_collection_refers_to_them(
    client: Client, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    kept = client.persist(dask.delayed(inc)(1))
    future = weakref.ref(persisted(kept.dask[kept.key]))
    assert kept.compute(scheduler=client) == 2
    assert future() is not None
    del kept
    gc.collect()
    eventually(lambda: future() is None)  # A thread may hold it for a moment.


def test_persist_of_a_collection_uses_the_client(client: Client) -> None:
    with client:
        bag, total = dask.persist(db.range(4, npartitions=2).map(inc), dask.delayed(sum)([1, 2]))
        assert bag.compute() == [1, 2, 3, 4]
        assert total.compute() == 3
        again = bag.persist()
    assert get(dict(again.dask), list(again.__dask_keys__())) == ([1, 2], [3, 4])
    assert [each.compute(scheduler=client) for each in client.persist([bag, total])] == [
        [1, 2, 3, 4],
        3,
    ]


def test_options_of_a_single_computation_override_those_of_the_client() -> None:
    client = Client(backend="local", retries=2)
    assert client.get({"a": (inc, 1)}, "a") == 2
    with pytest.raises(OptionError, match="queue='gpu'"):
        client.compute(dask.delayed(inc)(1), backend="threads", queue="gpu")
    with pytest.raises(OptionError, match="retries=-1"):
        Client(retries=-1)


def test_only_collections_of_dask_are_taken(client: Client) -> None:
    with pytest.raises(CallError, match="got 5 of type int, expected a collection of Dask"):
        client.compute(5)
    with pytest.raises(CallError, match="got 5 of type int"):
        client.persist([5])
