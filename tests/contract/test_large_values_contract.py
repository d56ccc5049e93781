"""Each engine takes and gives large values as they are."""

from typing import Any

import numpy
import pytest

from distribute_challenge import ExecutionBackend, compute_this, put
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from tests.contract.engines import TIMEOUT
from tests.contract.values import ARRAYS, LARGE, Measurement, double


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_and_go_as_they_are(name: str, backend: ExecutionBackend) -> None:
    @compute_this
    def same(x: Any) -> Any:
        return x

    array = ARRAYS[name]
    result = same(array).compute(backend)
    assert type(result) is type(array)
    assert (result.dtype, result.shape) == (array.dtype, array.shape)
    assert numpy.array_equal(result, array)


@pytest.mark.slow
def test_large_texts_bytes_and_lists_come_back_unchanged(backend: ExecutionBackend) -> None:
    for value in (
        "x" * 2_000_000,
        b"x" * 2_000_000,
        bytearray(b"x") * 2_000_000,
        list(range(500_000)),
    ):
        assert double(value).compute(backend) == value * 2


def test_a_large_result_can_be_written_to(backend: ExecutionBackend) -> None:
    result = double(LARGE).compute(backend)
    result[0, 0] = 7
    assert numpy.array_equal(result.flat[1:], LARGE.flat[1:] * 2)
    assert numpy.array_equal(double(LARGE).compute(backend), LARGE * 2)


def test_a_returned_part_of_a_large_argument_can_be_written_to(backend: ExecutionBackend) -> None:
    @compute_this
    def parts(x: Any) -> Any:
        return x, x[:3], x[:, 1], numpy.asfortranarray(x)[:, :2], x[:20].view(numpy.matrix)

    for result in parts(LARGE).compute(backend):
        before = result.copy()
        result += 1
        assert numpy.array_equal(result, before + 1)
    assert numpy.array_equal(double(LARGE).compute(backend), LARGE * 2)


def test_changing_a_large_argument_after_submit_does_not_affect_the_call(
    backend: ExecutionBackend,
) -> None:
    array = LARGE.copy()
    future = double(array).submit(backend)
    array[:] = 0
    assert numpy.array_equal(future.result(TIMEOUT), LARGE * 2)


def test_a_map_takes_and_gives_large_items(backend: ExecutionBackend) -> None:
    results = list(double.map([LARGE + number for number in range(12)], backend=backend))
    assert [result[0, 0] for result in results] == [2 * number for number in range(12)]
    texts = list(
        double.map([str(number) * 1_500_000 for number in range(3)], batch_size=3, backend=backend)
    )
    assert [text[:2] for text in texts] == ["00", "11", "22"]


@pytest.mark.filterwarnings("ignore:.* MB of captured values")
def test_a_function_captures_large_values_as_they_are_at_the_call(
    backend: ExecutionBackend,
) -> None:
    array, text = LARGE.copy(), "x" * 2_000_000

    @compute_this
    def captured(row: int) -> tuple[float, int]:
        return float(array[row, 0]), len(text)

    assert captured(2).compute(backend) == (1000.0, 2_000_000)
    array[2, 0] = 3
    assert captured(2).compute(backend) == (3.0, 2_000_000)
    assert list(captured.map(range(3), backend=backend)) == [
        (0.0, 2_000_000),
        (500.0, 2_000_000),
        (3.0, 2_000_000),
    ]
    assert captured(2).compute("local") == captured(2).compute(backend)


@pytest.mark.filterwarnings("ignore:.* MB of captured values")
def test_a_value_that_was_put_stands_for_itself_wherever_it_is(backend: ExecutionBackend) -> None:
    array = LARGE.copy()
    shared, small, own = put(array, backend), put(3, backend), put(Measurement(LARGE), backend)
    text = put("x" * 2_000_000, backend)
    array[:] = 0

    @compute_this
    def total(first: Any, *rest: Any, **named: Any) -> float:
        return float(first.sum() + rest[0]["key"][0] + named["own"].values[0, 1] + len(captured()))

    def captured() -> str:
        return str(text)

    text_of = compute_this(lambda: len(text) + shared[0, 1])  # type: ignore[arg-type, index] # it is the value there
    assert (
        total(shared, {"key": [small]}, own=own).compute(backend) == LARGE.sum() + 3 + 1 + 2_000_000
    )
    assert text_of().compute(backend) == 2_000_001
    assert [result[0, 1] for result in double.map([shared, shared], backend=backend)] == [2, 2]


@pytest.mark.slow
def test_a_value_that_was_put_on_another_backend_is_sent_again(backend: ExecutionBackend) -> None:
    with CeleryExecutionBackend() as other:
        shared = put(LARGE, other)
        assert numpy.array_equal(double(shared).compute(backend), LARGE * 2)
    assert double(put([1], "local")).compute(backend) == [1, 1]


def test_a_call_inside_a_call_takes_large_values_too(backend: ExecutionBackend) -> None:
    @compute_this
    def outer(x: Any) -> Any:
        return double(put(x)).compute() + double(x).compute()

    assert numpy.array_equal(outer(LARGE).compute(backend), LARGE * 4)
