"""Graphs of calls, drawn by Hypothesis."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass
class Pair:
    left: Any
    right: Any


@st.composite
def graphs(draw: st.DrawFn) -> list[Any]:
    """Nodes that each need some of those before them, anywhere in their arguments."""
    nodes: list[Any] = []
    for number in range(draw(st.integers(1, 7))):
        earlier = st.sampled_from(range(number)).map(lambda index: ("node", index))
        leaf = st.integers(0, 9) | earlier if number else st.integers(0, 9)
        argument = st.recursive(
            leaf,
            lambda part: (
                st.lists(part, max_size=3)
                | st.tuples(st.just("pair"), part, part)
                | st.dictionaries(st.sampled_from("ab"), part, max_size=2)
            ),
            max_leaves=5,
        )
        nodes.append((draw(st.sampled_from(["keep", "keep", "keep", "fail"])), draw(argument)))
    return nodes


def built(thing: Any, nodes: list[Any]) -> Any:
    if isinstance(thing, tuple) and thing[0] == "node":
        return nodes[thing[1]]
    if isinstance(thing, tuple):
        return Pair(built(thing[1], nodes), built(thing[2], nodes))
    if isinstance(thing, list):
        return [built(part, nodes) for part in thing]
    if isinstance(thing, dict):
        return {key: built(part, nodes) for key, part in thing.items()}
    return thing


def holds(thing: Any, failed: set[int]) -> bool:
    if isinstance(thing, tuple) and thing[0] == "node":
        return thing[1] in failed
    parts = thing.values() if isinstance(thing, dict) else thing
    return isinstance(thing, list | tuple | dict) and any(holds(part, failed) for part in parts)
