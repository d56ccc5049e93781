"""Imports point down."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import distribute_challenge

PACKAGE = "distribute_challenge"
FOLDER = Path(distribute_challenge.__file__).parent

# Lowest first, by folder: a name stands for a file, or for a folder with all in it that no longer
# name covers. In a folder, and among the files that users touch, the order is their own matter; but
# there are no circles (below).
LAYERS = [
    ["errors", "lazy_names", "log", "owned_folder", "settings", "version"],
    ["broken_pool"],
    ["core"],
    ["security"],
    ["stores"],
    ["serialisation"],
    ["execution"],
    ["execution_backends"],
    ["execution_backends.pools", "execution_backends.celery.broker", "cluster"],
    [
        "execution_backends.celery.client",
        "execution_backends.celery.worker",
        "execution_backends.clusters",
    ],
    ["execution_backends.celery"],
    ["dashboard"],
    ["graph"],
    FRONT := [
        "distributable",
        "mapping",
        "map_run",
        "map_results",
        "mappable",
        "function",
        "decorator",
        "detached",
        "local_cluster",
        "shared",
        "waiting",
        "queues",
    ],
    ["reporting"],
    ["dask", "mapreduce"],
    ["executor", "joblib"],
    [""],
    ["cli", "benchmarking"],
    ["__main__"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    """Every module of the package, by its name inside it; "" is the package itself."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def entry(name: str) -> str:
    """The entry of the table that covers a module."""
    candidate = name
    while candidate and candidate not in LAYER:
        candidate = candidate.rpartition(".")[0]
    assert candidate or not name, f"{name} stands in no layer; add it to the table"
    return candidate


@cache
def imports(path: Path) -> frozenset[str]:
    """What a file imports of this package, at its top or inside functions, but not for types alone."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    inner.module, inner.names = "", []  # type: ignore[union-attr] # forget it
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            inner_modules = [f"{module}.{alias.name}" for alias in node.names]
            # `from package import module` means the module.
            names = [
                name if name.removeprefix(PACKAGE + ".") in MODULES else module
                for name in inner_modules
            ]
        else:
            continue
        for name in names:
            if name == PACKAGE or name.startswith(PACKAGE + "."):
                yield name.removeprefix(PACKAGE).removeprefix(".")


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or PACKAGE)
def test_a_module_imports_from_layers_below_its_own(name: str) -> None:
    """A late import inside a function counts, too."""
    own = entry(name)
    for imported in imports(MODULES[name]):
        other = entry(imported)
        if own == other or {own, other} <= set(FRONT):
            continue
        assert LAYER[other] < LAYER[own], (
            f"{name or PACKAGE} imports {imported}, which is not below it"
        )


def mentions(path: Path, package: str) -> bool:
    """Whether a file imports a package, or has its name as text that is no docstring."""
    text = path.read_text()
    if package not in text:
        return False  # To look at every node of every file takes seconds.
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            words = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            words = [node.module or ""]
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            words = [str(node.value)]
        else:
            continue
        if any(re.search(rf"\b{package}\b", word) for word in words):
            return True
    return False


def test_only_one_module_mentions_the_benchmarks() -> None:
    """Nothing that is installed needs `benchmarks`; the former names of its commands lead there."""
    assert [name for name in MODULES if mentions(MODULES[name], "benchmarks")] == [
        "benchmarking.checkout"
    ]


def test_there_are_no_circular_imports() -> None:
    """There is none inside one folder, either."""
    graph = {name: imports(path) for name, path in MODULES.items()}
    # A package's map imports what lies in it; what lies in it does not go through the map.
    TopologicalSorter(graph).prepare()  # Raises an error that names the circle.


def test_the_registry_imports_no_engine() -> None:
    """They are loaded when first used."""
    assert not [
        name
        for name in imports(MODULES["execution_backends.registry"])
        if any(room in name for room in ("celery", "clusters", "pools"))
    ]


def test_init_files_only_import_names() -> None:
    """`__init__.py` only imports names. The top one imports a name when code asks for it."""
    for path in FOLDER.rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            if path.parent == FOLDER:
                assert not isinstance(node, ast.ClassDef | ast.For | ast.While | ast.With)
            else:
                # `if TYPE_CHECKING:` holds imports, too.
                allowed = (
                    ast.Import | ast.ImportFrom | ast.Assign | ast.Expr | ast.If | ast.FunctionDef
                )
                assert isinstance(node, allowed), f"{path} line {node.lineno}"
                assert not isinstance(node, ast.FunctionDef) or node.name.startswith("__"), (
                    f"{path} line {node.lineno}"
                )


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    """At 400 lines of at most 100 columns a file is split."""
    assert not [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > 400]


def test_the_contributing_page_names_every_package() -> None:
    """It names every file that stands beside the rooms, too."""
    page = (FOLDER.parent / "docs" / "contributing.md").read_text()
    rooms = {
        name.partition(".")[0]
        for name, path in MODULES.items()
        if path.name == "__init__.py" and name
    }
    rooms |= {
        name
        for name in MODULES
        if name.startswith("execution_backends.celery.") and name.count(".") == 2
    }
    missing = [
        room
        for room in rooms
        if f"{room.rpartition('.')[2]}/" not in page and MODULES[room].name == "__init__.py"
    ]
    assert not missing
