"""What type checkers know of a decorated function: mypy and pyright, as users run them."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docker_engine import CHECKOUT

pytestmark = pytest.mark.slow

RIGHT = """
    from collections.abc import Iterator
    from typing import assert_type

    from distribute_challenge import Executor, Future, compute_this, put
    from distribute_challenge.map_results import MapResults

    @compute_this()
    def square(x: int) -> int:
        return x * x

    @compute_this
    async def repeat(x: int, text: str = "") -> str:
        return text * x

    @compute_this
    def nothing() -> None: ...

    class Scale:
        @compute_this
        def plain(self, x: int) -> int:
            return x

        @compute_this(retries=1)
        async def waiting(self, x: int) -> int:
            return x

        @staticmethod
        @compute_this
        def static(x: int) -> int:
            return x

        @compute_this
        @staticmethod
        def static_below(x: int) -> int:
            return x

        @compute_this()
        @classmethod
        def of(cls, x: int) -> "Scale":
            return cls()

        @compute_this
        @classmethod
        async def of_waiting(cls, x: int) -> "Scale":
            return cls()

    assert_type(square(2).compute(), int)
    assert_type(square(2).submit(), Future[int])
    assert_type(square(2).submit().result(), int)
    assert_type(square.local(2), int)
    assert_type(square.map([1, 2]), MapResults[int])
    assert_type(square.map([1], on_error="return"), MapResults[int | BaseException])
    assert_type(square.starmap([(1,), (2,)]), MapResults[int])
    assert_type(square.starmap([(1,)], on_error="return"), MapResults[int | BaseException])
    assert_type(square.map([1], return_exceptions=True), MapResults[int | BaseException])
    assert_type(square.starmap([(1,)], return_exceptions=True), MapResults[int | BaseException])
    assert_type(square.map([1], chunksize=2, timeout=1.5), MapResults[int])
    assert_type(square.with_options(retries=2)(3).compute(), int)
    assert_type(compute_this(square, retries=2)(3).compute(), int)
    assert_type(compute_this(func=square.local)(-3).compute(), int)
    assert_type(repeat(2, text="a").compute(), str)
    assert_type(compute_this(lambda: 3)().compute(), int)

    # An executor runs plain and decorated functions.
    executor = Executor(2, retries=1)
    assert_type(executor.submit(len, "a"), Future[int])
    assert_type(executor.submit(square, x=2), Future[int])
    assert_type(executor.submit(repeat, 2), Future[str])
    assert_type(executor.map(len, ["a"]), Iterator[int])
    assert_type(executor.map(square, [1, 2], chunksize=2), Iterator[int])

    # Methods know their arguments, bound or not.
    assert_type(Scale().plain(3).compute(), int)
    assert_type(Scale.plain(Scale(), 3).compute(), int)
    assert_type(Scale().waiting(x=3).compute(), int)
    assert_type(Scale().plain.map([3]), MapResults[int])
    assert_type(Scale.static(3).compute(), int)
    assert_type(Scale().static(3).compute(), int)
    assert_type(Scale.static_below(3).compute(), int)
    assert_type(Scale().static_below(3).compute(), int)
    assert_type(Scale.of(3).compute(), Scale)
    assert_type(Scale().of(3).compute(), Scale)
    assert_type(Scale.of_waiting(3).compute(), Scale)

    # Without annotations, anything goes.
    class Plain:
        @staticmethod
        @compute_this
        def static(x):  # type: ignore[no-untyped-def] # pyright: ignore
            return x

        @compute_this
        def method(self, x):  # type: ignore[no-untyped-def] # pyright: ignore
            return x

    Plain.static(3)
    Plain().static(3)
    Plain().method(3)

    # A handle stands in for its value, and has a value of its own.
    shared = put(3)
    assert_type(square(shared).compute(), int)
    assert_type(repeat(2, text=put("a")).compute(), str)
    assert_type(shared.get(), int)
    assert_type(shared.size, int)

    async def awaited() -> None:
        assert_type(await square(2), int)
        assert_type(await square(2).submit(), int)
"""

# Each line below the definitions is wrong. mypy does not know the arguments of methods.
WRONG = """
    from distribute_challenge import compute_this

    @compute_this()
    def square(x: int) -> int:
        return x * x

    class Scale:
        @compute_this
        def plain(self, x: int) -> int:
            return x

        @compute_this
        @classmethod
        def of(cls, x: int) -> "Scale":
            return cls()

        @compute_this
        @staticmethod
        def static(x: int) -> int:
            return x

    # wrong from here
    square()
    square("text")
    square(2, 3)
    square(2).compute().upper()
    square.with_options(retry=2)
    square.with_options(retries="2")
    square.map(2)
    square.starmap([1])
    square.map([1], batch_size="2")
    square.starmap([(1,)], typo=2)
    compute_this(retries="2")
    compute_this(priority=1, typo=2)
    # methods
    Scale().plain("text")
    Scale().plain()
    Scale().plain(1, 2)
    Scale.of("text")
    Scale().of()
    Scale().static("text")
"""

# None of this repository's.
SETTINGS = """
    [tool.pyright]
    typeCheckingMode = "standard"
    reportUnusedExpression = false
    reportUnusedCoroutine = false
"""


def mypy(path: Path) -> set[int]:
    """Lines that it reports."""
    folder = path.parent
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={folder}",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        int(number) for number in re.findall(r"^\S+?:(\d+): error: ", done.stdout, re.MULTILINE)
    }


def pyright(path: Path) -> set[int]:
    """Lines that it reports.

    basedpyright is pyright in a wheel that brings Node along, with no download at its first run.
    """
    (path.parent / "pyproject.toml").write_text(textwrap.dedent(SETTINGS))
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--project",
        str(path.parent),
        "--level",
        "error",
        "--outputjson",
    ]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [*command, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        found["range"]["start"]["line"] + 1
        for found in json.loads(done.stdout)["generalDiagnostics"]
    }


@pytest.mark.parametrize("check", [mypy, pyright], ids=["mypy", "pyright"])
def test_a_type_checker_knows_arguments_and_results(
    check: Callable[[Path], set[int]], tmp_path: Path
) -> None:
    """It accepts what is right, and reports each line that is wrong."""
    found = {}
    for name, source in (("right", RIGHT), ("wrong", WRONG)):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(source).lstrip())
        found[name] = [
            (number, path.read_text().splitlines()[number - 1]) for number in sorted(check(path))
        ]
    assert found["right"] == []
    lines = (tmp_path / "wrong.py").read_text().splitlines()
    numbered = list(enumerate(lines, 1))[lines.index("# wrong from here") + 1 :]
    methods = lines.index("# methods") + 1
    wrong = [
        line for line in numbered if line[0] < methods or (check is pyright and line[0] > methods)
    ]
    assert found["wrong"] == wrong
