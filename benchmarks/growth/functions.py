"""The function that runs on workers and gets large arguments."""

from typing import Any

from distribute_challenge import compute_this

__all__ = ["length"]


@compute_this()
def length(array: Any) -> int:
    """Return the number of elements."""
    return len(array)
