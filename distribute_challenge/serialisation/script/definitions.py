"""The functions and classes of the client's script, each pickled by itself.

Calls look some of them up by name alone: `pickle` does when it loads a file that the script wrote,
and so do type hints and ``eval``. What a function mentions travels with it in any case
(`functions`). This module sends the other definitions, but only those that use nothing that
changes: one that uses a variable which the script keeps changing would have to be sent each time.

A definition refers to others by their names, so each is pickled once, however they call each other.
The version of a class is a digest of all the definitions that it reaches.
"""

import itertools
import linecache
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from types import FunctionType
from typing import Any, NamedTuple

from distribute_challenge.core import clock
from distribute_challenge.serialisation.modules.project_modules import is_project_file
from distribute_challenge.serialisation.script.namespace import (
    Definition,
    ScriptParts,
    is_script_on_worker,
)
from distribute_challenge.serialisation.state import carries_state
from distribute_challenge.serialisation.watch import Watch

__all__ = ["Definitions", "PickledDefinition", "definition_name"]

LARGEST = 100_000  # Bytes of one definition; a guess: a larger one most likely contains data.
LARGEST_SOURCE = 1_000_000  # Characters of a script.


class PickledDefinition(NamedTuple):
    """A function or class of the script, apart from the others.

    Args:
        data: The pickle.
        needs: Names of the definitions that it refers to.
        modules: Modules of the user's project that unpickling it needs.
        imports: All modules that unpickling it imports.
    """

    data: bytes
    needs: frozenset[str]
    modules: frozenset[str]
    imports: frozenset[str]


class _Node(NamedTuple):
    """A definition as `Definitions` found it last.

    Args:
        value: The function or class.
        watch: Sees a change of what it uses, other definitions apart.
        pickled: Its pickle; None if it cannot be pickled.
        is_steady: Whether its pickle has been the same ever since it was defined.
    """

    value: Any
    watch: Watch
    pickled: PickledDefinition | None
    is_steady: bool = True


class _Look(NamedTuple):
    """The state of the script when `Definitions` last checked it.

    Args:
        nodes: Definitions by name.
        travelling: Definitions that can be sent.
        watch: Sees a change of any of those.
        size: Number of the script's variables.
        version: A number that changes whenever other definitions travel.
        at: When the script was checked, by `clock.monotonic`.
    """

    nodes: Mapping[str, _Node]
    travelling: Mapping[str, Definition]
    watch: Watch
    size: int
    version: int
    at: float


class Definitions:
    """The functions and classes that this process's ``__main__`` defines; each process has one.

    Args:
        pickle: Pickles a definition apart from the others; it raises if that cannot be done.
        digest: Returns a digest of bytes.

    Guarantees: any thread may call. No thread waits for another, as pickling may run the user's
    code.
    """

    def __init__(
        self, pickle: Callable[[Any], PickledDefinition], digest: Callable[[bytes], str]
    ) -> None:
        self._pickle = pickle
        self._digest = digest
        self._numbers = itertools.count(1)
        self._last = _Look({}, {}, Watch(), -1, 0, 0.0)

    def version(self, within: float = 0.0) -> int:
        """Return a number that changes as soon as other definitions travel.

        Args:
            within: Seconds; definitions that were checked no longer ago than this are not checked
                again.
        """
        if within and clock.monotonic() - self._last.at < within:
            return self._last.version
        main = sys.modules["__main__"]
        return -1 if is_script_on_worker(main) else self._look(vars(main)).version

    def parts(self, function: Any, modules: frozenset[str]) -> ScriptParts:
        """Return what travels with a function.

        Args:
            function: The function; it travels in any case.
            modules: The modules of the user's project that travel with it. Definitions that need
                other modules do not travel.
        """
        main = sys.modules["__main__"]
        if is_script_on_worker(main):
            return ScriptParts()  # A call inside a call runs in this process.
        look = self._look(vars(main))
        found = {
            name: definition
            for name, definition in look.travelling.items()
            if modules.issuperset(definition.modules)
            and _plain(look.nodes[name].value) is not function
        }
        filename = getattr(main, "__file__", None)
        if filename is None or not is_project_file(filename):
            return ScriptParts(None, None, found)
        source = "".join(linecache.getlines(filename))
        return ScriptParts(filename, source if 0 < len(source) <= LARGEST_SOURCE else None, found)

    def find(self, function: Any) -> Definition | None:
        """Return the definition of a function that travels by its name.

        The result is None for other functions, and for one that each call needs its own copy of.
        """
        main = sys.modules["__main__"]
        name = definition_name(function)
        if name is None or is_script_on_worker(main) or carries_state(function):
            return None
        return self._look(vars(main)).travelling.get(name)

    def version_of(self, cls: type) -> str | None:
        """Return a digest of a class with all definitions that it reaches; None for other classes.

        Raises:
            Exception: The class cannot be pickled.
        """
        main = sys.modules["__main__"]
        name = definition_name(cls)
        if name is None or is_script_on_worker(main):
            return None
        variables, nodes = vars(main), dict(self._last.nodes)
        others = {id(_plain(value)) for _, value in _definitions(variables)}

        def node_of(each: str) -> _Node:
            node = nodes[each] = self._node(variables[each], nodes.get(each), others)
            return node

        if node_of(name).pickled is None:
            self._pickle(cls)  # Raises the reason.
        reached = _reached(name, node_of)
        self._last = self._last._replace(nodes=nodes)
        return self._version(nodes, reached)

    def _look(self, main: dict[str, Any]) -> _Look:
        last = self._last
        if len(main) == last.size and last.watch.is_unchanged():
            self._last = last._replace(at=clock.monotonic())
            return last
        size, found = len(main), dict(_definitions(main))
        others = {id(_plain(value)) for value in found.values()}
        nodes = {
            name: self._node(value, last.nodes.get(name), others) for name, value in found.items()
        }
        travelling = self._travelling(nodes)
        watch = Watch.over([_plain(nodes[name].value) for name in travelling])
        assert watch.places is not None  # Definitions that can change unseen do not travel.
        watch.places.extend((main, name, node.value) for name, node in nodes.items())
        version = last.version if travelling == last.travelling else next(self._numbers)
        self._last = _Look(nodes, travelling, watch, size, version, clock.monotonic())
        return self._last

    def _travelling(self, nodes: Mapping[str, _Node]) -> dict[str, Definition]:
        """Return the definitions that can be sent, with all that they need."""
        steady = {
            name: node.pickled
            for name, node in nodes.items()
            if node.pickled is not None
            and node.is_steady
            and node.watch.places is not None
            and len(node.pickled.data) <= LARGEST
        }
        found = {}
        for name, (data, needs, _, _) in steady.items():
            reached = _reached(name, nodes.__getitem__)
            if steady.keys() >= reached:
                modules = {module for each in reached for module in steady[each].modules}
                imports = {module for each in reached for module in steady[each].imports}
                needed, sent, imported = (tuple(sorted(each)) for each in (needs, modules, imports))
                found[name] = Definition(
                    data, needed, sent, imported, self._version(nodes, reached)
                )
        return found

    def _version(self, nodes: Mapping[str, _Node], reached: Set[str]) -> str:
        found = (nodes[name].pickled for name in sorted(reached))
        return self._digest(b"".join(pickled.data for pickled in found if pickled is not None))

    def _node(self, value: Any, before: _Node | None, others: Set[int]) -> _Node:
        if before is not None and before.value is value and before.watch.is_unchanged():
            return before
        watch = Watch.over([_plain(value)], leave=others)
        try:
            pickled = self._pickle(value)
        except (Exception, SystemExit):
            pickled = None
        if before is None or before.value is not value:
            return _Node(value, watch, pickled)
        return _Node(value, watch, pickled, before.is_steady and before.pickled == pickled)


def definition_name(value: Any) -> str | None:
    """Return the name of a function or class of the script, decorated or not; None for all else."""
    main = vars(sys.modules["__main__"])
    plain = _plain(value)
    if not isinstance(plain, FunctionType | type) or plain.__module__ != "__main__":
        return None
    if main.get(plain.__qualname__) is not value or (
        isinstance(plain, FunctionType) and plain.__globals__ is not main
    ):
        return None
    return plain.__qualname__


def _definitions(main: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in list(main.items()):
        if definition_name(value) == name:
            yield name, value


def _plain(value: Any) -> Any:
    return value.__wrapped__ if hasattr(type(value), "__distributable__") else value


def _reached(name: str, node_of: Callable[[str], _Node]) -> set[str]:
    """Return the names of all definitions that one needs, directly or not, with its own."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            pickled = node_of(current).pickled
            waiting.extend(pickled.needs if pickled is not None else ())
    return reached
