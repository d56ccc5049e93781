"""What a type checker knows of a decorated function."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

RIGHT = """
    from collections.abc import Iterator
    from typing import assert_type

    from distribute_challenge import Future, compute_this

    @compute_this()
    def square(x: int) -> int:
        return x * x

    @compute_this
    async def repeat(x: int, text: str = "") -> str:
        return text * x

    class Scale:
        @compute_this
        def plain(self, x: int) -> int:
            return x

        @staticmethod
        @compute_this
        def static(x: int) -> int:
            return x

    assert_type(square(2).compute(), int)
    assert_type(square(2).submit(), Future[int])
    assert_type(square(2).submit().result(), int)
    assert_type(square.local(2), int)
    assert_type(square.map([1, 2]), Iterator[int])
    assert_type(square.map([1], on_error="return"), Iterator[int | BaseException])
    assert_type(square.with_options(retries=2)(3).compute(), int)
    assert_type(repeat(2, text="a").compute(), str)
    assert_type(Scale().plain(3).compute(), int)
    assert_type(Scale.static(3).compute(), int)

    async def awaited() -> None:
        assert_type(await square(2), int)
        assert_type(await square(2).submit(), int)
"""

WRONG = """
    from distribute_challenge import compute_this

    @compute_this()
    def square(x: int) -> int:
        return x * x

    square()
    square("text")
    square(2, 3)
    square(2).compute().upper()
"""


def complaints(source: str, folder: Path) -> list[str]:
    """What mypy says of a source, a line each."""
    path = folder / "sample.py"
    path.write_text(textwrap.dedent(source))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return [line for line in done.stdout.splitlines() if ": error: " in line]


@pytest.mark.parametrize(("source", "errors"), [(RIGHT, 0), (WRONG, 4)], ids=["right", "wrong"])
def test_a_type_checker_knows_arguments_and_results(source: str, errors: int, tmp_path: Path) -> None:
    """It accepts what is right, and reports each line that is wrong."""
    assert len(complaints(source, tmp_path)) == errors, complaints(source, tmp_path)
