"""What Dask's callbacks are told, and when."""

import io
from collections.abc import Iterator
from typing import Any

import dask
import pytest
from dask._task_spec import Alias
from dask.callbacks import Callback
from dask.diagnostics import ProgressBar
from dask.utils_test import add, inc

from distribute_challenge import use_backend
from distribute_challenge.dask import Client, get

GRAPH = {"a": 1, "b": (inc, "a"), "c": Alias("c", "b"), "d": (add, "b", "c"), "e": (inc, "d")}


@pytest.fixture(autouse=True)
def on_threads() -> Iterator[None]:
    with use_backend("threads"):
        yield


class Recorder(Callback):
    """Records what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def _start(self, dsk: Any) -> None:
        self.told.append(("start", sorted(dsk)))

    def _start_state(self, dsk: Any, state: Any) -> None:
        self.told.append(("start_state", list(state["ready"]), sorted(state["waiting"])))

    def _pretask(self, key: Any, dsk: Any, state: Any) -> None:
        assert key in state["running"]
        self.told.append(("pretask", key))

    def _posttask(self, key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        assert key in state["finished"]
        self.told.append(("posttask", key, result))

    def _finish(self, dsk: Any, state: Any, failed: bool) -> None:
        running = [state[name] for name in ("ready", "waiting", "running") if state.get(name)]
        self.told.append(("finish", failed, running))


def test_callbacks_are_told_of_each_task_and_its_value() -> None:
    with Recorder() as recorder:
        assert get(GRAPH, ["e", "c"]) == (5, 2)
    assert recorder.told == [
        ("start", ["a", "b", "c", "d", "e"]),
        ("start_state", ["b"], ["c", "d", "e"]),
        ("pretask", "b"),
        ("posttask", "b", 2),
        ("pretask", "c"),
        ("posttask", "c", 2),
        ("pretask", "d"),
        ("posttask", "d", 4),
        ("pretask", "e"),
        ("posttask", "e", 5),
        ("finish", False, []),
    ]


def test_values_are_in_the_state_as_long_as_a_task_needs_them() -> None:
    seen: list[dict[Any, Any]] = []

    def posttask(key: Any, result: Any, dsk: Any, state: Any, worker_id: Any) -> None:
        seen.append({"cache": dict(state["cache"]), "released": set(state["released"])})

    graph = {"a": 1, "b": (inc, "a"), "c": (inc, "b"), "d": (inc, "c")}
    with Callback(posttask=posttask):
        get(graph, ["d", "b"])
    assert [each["cache"] for each in seen] == [{"b": 2}, {"b": 2, "c": 3}, {"b": 2, "d": 4}]
    assert seen[-1]["released"] == {"a", "c"}


def test_without_a_callback_for_values_chains_are_one_call() -> None:
    told: list[Any] = []

    def pretask(key: Any, dsk: Any, state: Any) -> None:
        told.append((key, set(state["finished"])))

    graph = {"a": 1, "b": (inc, "a"), "c": Alias("c", "b"), "d": (inc, "c"), "e": (inc, 1)}
    with Callback(pretask=pretask):
        assert get(graph, ["d", "e"], num_workers=1) == (3, 2)
    assert told == [("b", set()), ("d", set()), ("c", {"b"}), ("e", {"b", "c", "d"})]


def test_the_finish_callback_is_told_of_an_error() -> None:
    with Recorder() as recorder, pytest.raises(TypeError):
        get({"a": (inc, "text"), "b": (inc, "a")}, "b")
    assert recorder.told[-1][:2] == ("finish", True)
    with Recorder() as recorder, pytest.raises(KeyError):
        get({"a": (inc, 1)}, "b")
    assert recorder.told[-1] == ("finish", True, [])


def test_the_finish_of_a_callback_is_not_called_if_its_start_failed() -> None:
    def fail(dsk: Any) -> None:
        raise ZeroDivisionError

    told: list[Any] = []
    with Callback(start=fail, finish=lambda *_: told.append("finish")):  # noqa: SIM117
        with pytest.raises(ZeroDivisionError):
            get({"a": (inc, 1)}, "a")
    assert not told


def test_a_callback_may_replace_nodes_by_values() -> None:
    """Dask's cache does so."""

    def start(dsk: dict[Any, Any]) -> None:
        dsk["b"] = 10

    with Callback(start=start):
        assert get(GRAPH, "e") == 21


def test_aliases_of_data_and_persisted_values_end_at_once() -> None:
    client = Client()
    kept = client.persist(dask.delayed(inc)(1))
    graph = {**kept.dask, "a": 5, "b": Alias("b", "a"), "c": (add, kept.key, "b")}
    with Recorder() as recorder:
        assert get(graph, "c") == 7
    posttasks = [told for told in recorder.told if told[0] == "posttask"]
    assert sorted(posttasks[:2], key=str) == [("posttask", "b", 5), ("posttask", kept.key, 2)]
    assert posttasks[2:] == [("posttask", "c", 7)]
    told: list[Any] = []
    with Callback(pretask=lambda key, *_: told.append(key)):
        assert get(graph, "c") == 7
    assert sorted(told[:2], key=str) == sorted(["b", kept.key], key=str)


def test_the_progress_bar_of_dask_reaches_the_end() -> None:
    out = io.StringIO()
    with ProgressBar(out=out):
        assert dask.delayed(sum)([dask.delayed(inc)(x) for x in range(5)]).compute(scheduler=get)
    assert "100% Completed" in out.getvalue()


def test_callbacks_are_not_called_for_a_computation_inside_a_task() -> None:
    def nested(x: int) -> Any:
        return dask.delayed(inc)(x).compute(scheduler=get)

    with Recorder() as recorder:
        assert (
            dask.delayed(nested, name="outer")(1, dask_key_name="only").compute(scheduler=get) == 2
        )
    assert [told[1] for told in recorder.told if told[0] == "pretask"] == ["only"]
