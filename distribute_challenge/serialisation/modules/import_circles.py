"""The order of a project's modules by their imports, with those together that import each other."""

from collections.abc import Iterable, Iterator, Mapping

from distribute_challenge.serialisation.modules.project_modules import ProjectModule

__all__ = ["circles"]


def circles(names: Iterable[str], by_name: Mapping[str, ProjectModule]) -> Iterator[list[str]]:
    """Yield modules and all that they can reach through imports, those that reach each other at once.

    The modules that a circle imports come before it, so what holds for all that a module can reach
    is found in one pass. This is Tarjan's algorithm, without recursion: a chain of imports may be
    longer than Python's stack.

    Args:
        names: The modules to begin with.
        by_name: All modules of the project; other names are left out.
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
                    circle: list[str] = []
                    while current not in circle[-1:]:
                        circle.append(open_ones.popitem()[0])
                    yield circle
