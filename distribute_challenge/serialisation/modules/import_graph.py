"""The graph of a project's modules and their imports."""

from collections.abc import Iterable, Iterator, Mapping

from distribute_challenge.serialisation.modules.project_modules import ProjectModule

__all__ = ["components"]


def components(names: Iterable[str], by_name: Mapping[str, ProjectModule]) -> Iterator[list[str]]:
    """Yield the strongly connected components: lists of modules that can reach each other.

    What a component imports comes before it, so what holds for all that a module can reach is found
    in one pass. This is Tarjan's algorithm, without recursion: a chain of imports may be longer than
    Python's stack.

    Args:
        names: The modules to begin with.
        by_name: All modules of the project; other names are left out.

    Yields:
        The names of all modules that can be reached, each once.
    """
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}  # The lowest number that each can reach among the open ones.
    open_ones: dict[str, None] = {}
    for name in names:
        path: list[tuple[str, Iterator[str]]] = []
        entered = name if name in by_name and name not in numbers else None
        while entered is not None or path:
            if entered is not None:
                numbers[entered] = lowest[entered] = len(numbers)
                open_ones[entered] = None
                path.append((entered, iter(by_name[entered].imports)))
                entered = None
            current, imports = path[-1]
            for imported in imports:
                if imported in by_name and imported not in numbers:
                    entered = imported
                    break
                if imported in open_ones:
                    lowest[current] = min(lowest[current], numbers[imported])
            else:
                path.pop()
                if path:
                    importer = path[-1][0]
                    lowest[importer] = min(lowest[importer], lowest[current])
                if lowest[current] == numbers[current]:
                    component: list[str] = []
                    while current not in component[-1:]:
                        component.append(open_ones.popitem()[0])
                    yield component
