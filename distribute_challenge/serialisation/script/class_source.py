"""A class of the script as its statement, for classes that cannot be taken apart.

The worker executes the statement again. Classes that hold a lock or weak references need this, and
so do classes of frameworks that replace what the class statement says, such as a database model's
columns. What the script does to the class after its statement does not travel.
"""

import __future__

import ast
import linecache
import sys
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from distribute_challenge.serialisation.watch import global_names

__all__ = ["ClassSource"]

# Names of functions inside a class's body that run when the class statement runs.
_RUNS_AT_ONCE = frozenset(
    ["<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>", "__annotate__"]
)


class ClassSource(NamedTuple):
    """The statement that makes a class.

    Args:
        name: The class's name.
        code: The compiled statement.
    """

    name: str
    code: CodeType

    @classmethod
    def of(cls, made: type) -> "ClassSource | None":
        """Return the statement that made a class, or None.

        None means that the class is not at the script's top level, or that its source cannot be
        read.
        """
        main = vars(sys.modules["__main__"])
        if made.__module__ != "__main__" or main.get(made.__qualname__) is not made:
            return None
        line, filename = _place(made, main)
        try:
            tree = ast.parse("".join(linecache.getlines(filename, main)))
        except SyntaxError:
            return None  # The file has changed since the script began.
        found = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name == made.__name__
        ]
        if line is not None:
            found = [node for node in found if node.lineno <= line <= (node.end_lineno or 0)]
        if not found:
            return None
        statement = ast.Module([found[-1]], [])
        flags = __future__.annotations.compiler_flag if _has_text_annotations(tree) else 0
        return cls(made.__name__, compile(statement, filename, "exec", flags, dont_inherit=True))

    def variables(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the script's variables that the statement uses at once, and all that it uses.

        The second dictionary includes the variables that only the methods use.
        """
        main = vars(sys.modules["__main__"])
        at_once = {
            name: main[name]
            for name in _names_at_once(self.code)
            if name in main and name != self.name
        }
        later = {name: main[name] for name in global_names(self.code) if name in main}
        return at_once, later

    def execute(self, namespace: dict[str, Any]) -> type:
        """Execute the statement and return the class.

        Args:
            namespace: The globals of its methods; the class is added to it.
        """
        exec(self.code, namespace)
        made: type = namespace[self.name]
        return made


def _place(made: type, main: dict[str, Any]) -> tuple[int | None, str]:
    """Return a line of the class, if one of its methods has one, and the name of its file."""
    for value in vars(made).values():
        if (
            isinstance(value, FunctionType)
            and value.__code__.co_qualname == f"{made.__qualname__}.{value.__name__}"
        ):
            return value.__code__.co_firstlineno, value.__code__.co_filename
    return None, str(main.get("__file__"))


def _has_text_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _names_at_once(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and (
            not constant.co_flags & CO_OPTIMIZED or constant.co_name in _RUNS_AT_ONCE
        ):
            yield from _names_at_once(constant)
