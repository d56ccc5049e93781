"""A call and what it needs, as notebooks show it."""

from typing import Any

from distribute_challenge import compute_this, gather
from distribute_challenge.core.never_run import HAS_RUN
from distribute_challenge.graph.outline import (
    MOST_DEPTH,
    MOST_LINES,
    Line,
    outline,
)
from tests.core.test_card import Parsed


@compute_this
def add(*numbers: Any, **more: Any) -> Any:
    return len(numbers) + len(more)


def test_the_outline_lists_a_call_above_the_calls_it_needs() -> None:
    shared, future = add(1), add(2).submit("local")
    call: Any = add(shared, [{"x": (future,)}], more=[add(shared), {3}])
    assert [(line.depth, line.text) for line in outline(call)] == [
        (0, "add(add(...), [{'x': (<Future add>,)}], more=[add(...), {3}])"),
        (1, "add(1)"),
        (1, "add"),
        (1, "add(add(...))"),
        (2, "add(1)"),
    ]
    assert [line.state for line in outline(call)][3:] == ["", "as above"]
    assert outline(call)[2].state == "finished"
    assert "as above" in Parsed(call._repr_html_()).words
    assert gather(call, backend="local") == 3


def test_a_large_graph_is_cut() -> None:
    wide: Any = add([add(number) for number in range(MOST_LINES)])
    assert len(outline(wide)) == MOST_LINES
    assert outline(wide)[-1] == Line(0, "...", "and more calls")
    deep: Any = add(1)
    for _ in range(2 * MOST_DEPTH):
        deep = add(deep)
    assert [line.depth for line in outline(deep)] == list(range(MOST_DEPTH + 2))
    assert outline(deep)[-1].text == "..."
    last = add(1)
    many: Any = add(list(range(10_000)), {*range(10_000)}, last)
    assert len(outline(many)) == 1  # It looks at no more arguments than that.
    for call in (wide, deep, last):
        call.compute("local")
    many.at_deletion = HAS_RUN
