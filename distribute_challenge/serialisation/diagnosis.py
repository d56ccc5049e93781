"""Find what cannot be pickled: the path to the smallest part of a value that fails by itself."""

import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from distribute_challenge.core.guarded import text_of

__all__ = ["culprit"]

_MOST_STEPS = 20  # A guess: a longer path is hard to read, and a cycle must end.


def culprit(
    value: Any, name: str, error: BaseException, try_pickling: Callable[[Any], BaseException | None]
) -> tuple[str, str]:
    """Find the part of a value that cannot be pickled.

    Args:
        value: The value that failed to pickle.
        name: The value's name in the path.
        error: The exception that pickling it raised.
        try_pickling: Returns the exception that pickling a value raises, or None.

    Returns:
        The path, such as ``"argument 'job'.settings['lock']"``, and the reason in pickle's words.
    """
    path, whole, first = name, value, error
    seen = {id(value)}
    for _ in range(_MOST_STEPS):
        for label, part in _parts(value):
            part_error = None if id(part) in seen else try_pickling(part)
            if part_error is not None:
                seen.add(id(part))
                path, value, error = path + label, part, part_error
                break
        else:
            break
    else:
        if isinstance(first.__cause__ or first, RecursionError):
            # The value is nested too deeply; a path of twenty steps would not explain that.
            path, value, error = name, whole, first
    text = text_of(error).strip() or type(error).__name__
    if not isinstance(error, Exception):
        text = f"{type(error).__name__}: {text}"
    return f"{path} (a {type(value).__name__})", text


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a value, each with the text that leads from the value's name to it."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, types.FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        for variable, cell in cells:
            try:
                yield f", closure variable {variable!r}", cell.cell_contents
            except ValueError:
                continue
        for variable in value.__code__.co_names:
            if variable in value.__globals__:
                yield f", global variable {variable!r}", value.__globals__[variable]
    elif not isinstance(value, Future):  # It refuses to be pickled, whatever it holds.
        yield from (
            (f".{attribute}", part) for attribute, part in getattr(value, "__dict__", {}).items()
        )
        for slot in getattr(type(value), "__slots__", ()):
            if hasattr(value, slot):
                yield f".{slot}", getattr(value, slot)
