"""`get`: what it computes, and what it refuses."""

import subprocess
import sys
import traceback
from operator import mul, truediv
from typing import Any

import dask
import numpy
import pytest
from dask._task_spec import Alias, Task, TaskRef, convert_legacy_graph
from dask.tokenize import tokenize
from dask.utils_test import add, inc

from distribute_challenge import Shared, compute_this, default_backend, use_backend
from distribute_challenge.core.options import CallOptions
from distribute_challenge.dask import calls, get
from distribute_challenge.dask.calls import Calls
from distribute_challenge.dask.pieces import Plan
from distribute_challenge.errors import OptionError, SerialisationError


@pytest.fixture(autouse=True)
def on_threads() -> Any:
    with use_backend("threads"):
        yield


@compute_this
def square(x: int) -> int:
    return x * x


def lazily(values: list[int]) -> Any:
    return (value for value in values)


def test_values_come_in_the_shape_of_the_keys() -> None:
    graph = {"a": 1, "b": (inc, "a"), "c": "b", ("d", 0): (add, "b", "c")}
    assert get(graph, "c") == 2
    assert get(graph, ("d", 0)) == 4
    assert get(graph, [["a", "c"], ("d", 0)]) == ((1, 2), 4)


def test_a_node_whose_own_key_differs_from_its_key_in_the_graph_is_computed() -> None:
    graph = {
        "a": Task("x", inc, 1),
        "b": Alias("y", "a"),
        "c": Task("z", add, TaskRef("a"), TaskRef("b")),
    }
    assert get(graph, ["b", "c"]) == (2, 4)


def test_tasks_get_references_and_lists_and_keywords() -> None:
    graph = {
        "a": (inc, 1),
        "b": (inc, 2),
        "c": Task("c", inc, x=TaskRef("a")),
        "d": (sum, ["a", "b", (inc, "c")]),
        "e": (sum, ["a", "d"]),
    }
    assert get(graph, ["c", "d", "e"]) == (3, 9, 11)


def test_an_exception_keeps_its_type_and_has_a_note_with_the_name_of_its_task() -> None:
    graph = {"a": (inc, 0), ("b", 1): (truediv, 1, "a"), "c": (truediv, ("b", 1), 0)}
    with pytest.raises(ZeroDivisionError) as caught:
        get(graph, "c")
    assert "in the Dask task 'c'" in caught.value.__notes__
    assert "return self.func(*new_argspec)" in "".join(traceback.format_exception(caught.value))


def test_futures_and_calls_in_a_graph_stand_for_their_values() -> None:
    future = square(3).submit()
    once = square(4)
    graph = {"a": (add, future, 1), "b": (add, once, once), "c": future, "d": (inc, "c")}
    assert get(graph, ["a", "b", "c", "d"]) == (10, 32, 9, 10)
    assert dask.delayed(inc)(future).compute(scheduler=get) == 10


def test_dask_tokens_of_futures_are_based_on_their_identity() -> None:
    one, other = square(3).submit(), square(3).submit()
    assert tokenize([one]) == tokenize([one]) != tokenize([other])


def test_a_task_may_compute_another_graph() -> None:
    def nested(x: int) -> Any:
        return dask.delayed(inc)(x).compute(scheduler=get)

    assert dask.delayed(nested)(1).compute(scheduler=get) == 2


def test_large_data_that_several_pieces_use_is_packed_once() -> None:
    array = numpy.ones(100_000)
    graph = {"x": array, "s": 5, "y": (mul, "x", "s"), "z": (mul, "x", "s")}
    plan = Plan(convert_legacy_graph(graph), ["y", "z"])
    made = Calls(plan, default_backend(), CallOptions())
    first, second = (made.call(piece, {}).args[1] for piece in plan.pieces.values())
    assert isinstance(first["x"], Shared)
    assert first["x"] is second["x"]
    assert first["s"] == 5
    assert [value.sum() for value in get(graph, ["y", "z"])] == [500_000, 500_000]


def test_calls_are_named_by_their_last_function() -> None:
    fused = Task.fuse(Task("a-1", inc, 1), Task("b-1", inc, TaskRef("a-1")), key="b-1")
    graph = convert_legacy_graph({"x": (inc, 1), "y": (truediv, "x", 1), "b-1": fused})
    plan = Plan(graph, ["y", "b-1"])
    made = Calls(plan, compute_this, CallOptions())  # type: ignore[arg-type] # not used here
    names = [made.call(piece, {}).prepared.name for piece in plan.pieces.values()]
    assert names == ["truediv", "b"]


def test_a_graph_of_many_functions_needs_few_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_RUNNERS", 1)
    graph = {"a": (inc, 1), "b": (abs, -2), "c": (abs, -3), "d": (inc, 4), "e": (mul, 5, 2)}
    assert get(graph, list("abcde")) == (2, 2, 3, 5, 10)


def test_options_hold_for_all_calls(tmp_path: Any) -> None:
    path = tmp_path / "tries"

    def second_time() -> int:
        with path.open("a") as file:
            file.write("x")
        if path.read_text() == "x":
            raise OSError("not yet")
        return 5

    assert dask.delayed(second_time)().compute(scheduler=get, retries=1) == 5
    path.unlink()
    with pytest.raises(OSError, match="not yet"):
        get({"a": (second_time,)}, "a", backend="local")


def test_an_option_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(OptionError, match="queue='gpu'"):
        get({"a": (inc, 1)}, "a", queue="gpu")
    with pytest.raises(OptionError, match="retries=-1"):
        get({"a": (inc, 1)}, "a", retries=-1)
    with pytest.raises(OptionError, match="num_workers=0: expected a whole number of at least 1"):
        get({"a": (inc, 1)}, "a", num_workers=0)


def test_an_unknown_option_is_warned_of() -> None:
    """Dask gives schedulers whatever its users give to ``compute``."""
    with pytest.warns(UserWarning, match="pool has no effect: the options are backend, num_w"):
        assert dask.delayed(inc)(1).compute(scheduler=get, pool=3) == 2


def test_the_number_of_workers_may_come_from_the_configuration_of_dask() -> None:
    graph = {str(number): (inc, number) for number in range(20)}
    with dask.config.set(num_workers=2):
        assert get(graph, list(graph)) == tuple(range(1, 21))
    with dask.config.set(num_workers="two"), pytest.raises(OptionError, match="'two'"):
        get(graph, list(graph))


def test_an_unpicklable_value_needed_by_several_calls_is_an_error() -> None:
    with pytest.raises(SerialisationError, match="generator"):
        get({"a": (lazily, [1, 2]), "b": (list, "a"), "c": (list, "a")}, ["b", "c"])
    assert get({"a": (lazily, [1, 2]), "b": (list, "a")}, "b") == [1, 2]


def test_without_dask_the_import_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "import distribute_challenge\n"
        "assert 'dask' not in sys.modules\n"
        "sys.modules['dask'] = None\n"
        "try:\n"
        "    distribute_challenge.dask\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert 'pip install "distribute-challenge[dask]"' in done.stdout
