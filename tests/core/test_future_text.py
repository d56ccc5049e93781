"""A future as text."""

from typing import Any

from distribute_challenge.core.future_text import MOST_TEXT, FutureText, short
from distribute_challenge.core.futures import Future
from distribute_challenge.core.unopened import Unopened

STAGES = 1.0, 2.0, 3.0, 3.0012, 4.0, "worker-1@host/12"


class Frame:
    """Shows itself on several lines, as data frames do."""

    def __repr__(self) -> str:
        return "   x  y\n0  1  2"


class Broken:
    def __repr__(self) -> str:
        raise SystemExit


def test_the_text_of_a_future_with_a_timeline_has_duration_and_worker() -> None:
    future: Future[int] = Future("square")
    future.resolve(9, STAGES)
    assert repr(future) == "<Future square finished 9 in 1.20 ms on worker-1@host/12>"
    failed: Future[int] = Future("square")
    failed.fail(ValueError("no"), STAGES)
    assert repr(failed) == (
        "<Future square failed ValueError('no') in 1.20 ms on worker-1@host/12>"
    )


def test_a_value_that_nothing_has_asked_for_is_not_unpickled_to_be_shown() -> None:
    future: Future[Any] = Future("square")
    future.resolve(Unopened(lambda: 1 / 0), STAGES)
    assert FutureText.of(future) == (
        "square",
        "finished",
        "",
        "1.20 ms",
        "worker-1@host/12",
    )


def test_a_value_is_shown_on_one_short_line_whatever_its_repr_does() -> None:
    shown = []
    for value in (Frame(), Broken(), ["x" * 10_000] * 10_000):
        future: Future[Any] = Future("f")
        future.resolve(value)
        shown.append(FutureText.of(future).outcome)
    assert shown[:2] == ["x y 0 1 2", f"<{Broken.__module__}.Broken object>"]
    assert len(shown[2]) <= MOST_TEXT
    assert short("a  b") == "a  b"
