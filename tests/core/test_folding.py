"""Tracebacks of failed calls, word by word, in real scripts, prompts and notebooks."""

import os
import re
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distribute_challenge
from distribute_challenge import compute_this, distributable
from distribute_challenge.core.folding import fold
from distribute_challenge.errors import OptionError
from tests.optional import needed
from tests.processes import environment, run

pytestmark = pytest.mark.slow

DIVIDE = """\
from distribute_challenge import compute_this

@compute_this
def divide(a, b=0):
    total = a + b

    return (total +
        a / b)
"""

FUNCTIONS = f"""{DIVIDE}
@compute_this
def parse(text):
    return int(text)
"""

SHOWN = """
import sys, traceback

def show(statement):
    try:
        exec(compile(statement, "<prompt>", "exec"), globals())
    except BaseException as error:
        print("###", statement)
        print("".join(traceback.format_exception(error)))
"""


def seen(statements: list[str], folder: Path, setup: str = "", **variables: str) -> list[str]:
    """What Python prints of each statement's exception, from the user's line on, without marks.

    Names of processes, folders and machines are replaced.
    """
    source = (
        FUNCTIONS + SHOWN + setup + "".join(f"\nshow({statement!r})" for statement in statements)
    )
    printed = run(source, folder, **{"DISTRIBUTE_CHALLENGE_WORKERS": "1", **variables})
    texts = []
    for text in printed.split("### ")[1:]:
        _, _, text = text.partition("\n")
        text = re.sub(r'  File "[^"]*script\d+.py", line \d+, in show\n.*\n( +[~^]+\n)?', "", text)
        text = re.sub(r'File "[^"]*script\d+.py"', 'File "script.py"', text)
        text = re.sub(
            r"(process |vm/)\d+", r"\g<1>7", re.sub(r"embedded@[^,/ ]+", "embedded@vm", text)
        )
        text = re.sub(r"distribute_challenge_\d", "distribute_challenge_N", text)
        texts.append(re.sub(r"^ +[~^]+\n", "", text, flags=re.MULTILINE).rstrip("\n"))
    return texts


def expected(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


DIVIDED = expected("""
    Traceback (most recent call last):
      File "<prompt>", line 1, in <module>
      File "script.py", line 8, in divide
        a / b)
    ZeroDivisionError: division by zero
    in the call divide(1), on embedded@vm, process 7
""")


def test_a_traceback_shows_the_frames_of_user_and_worker_and_a_note_with_the_place(
    tmp_path: Path,
) -> None:
    """No line of the library is in between, however and however often the caller waits."""
    setup = """
import asyncio
later = divide(1).submit()
async def wait():
    await divide(1)
def items():
    yield "1"
    divide(1).compute()
"""
    statements = [
        "divide(1).compute()",
        "later.result()",
        "later.result()",
        "list(parse.map(items()))",
    ]
    texts = seen(
        [*statements, "list(parse.map('12x4'))", "asyncio.run(wait())", "later.result(timeout=9)"],
        tmp_path,
        setup,
    )
    *direct, from_items, from_map, awaited, again = texts
    assert [*direct, again] == [DIVIDED] * 4
    assert from_items.splitlines() == [
        *DIVIDED.splitlines()[:2],
        '  File "script.py", line 29, in items',
        "    divide(1).compute()",
        *DIVIDED.splitlines()[2:],
    ]
    assert from_map == expected("""
        Traceback (most recent call last):
          File "<prompt>", line 1, in <module>
          File "script.py", line 12, in parse
            return int(text)
        ValueError: invalid literal for int() with base 10: 'x'
        item 2: parse('x'), on embedded@vm, process 7
    """)
    assert awaited.splitlines()[-5:] == ["    await divide(1)", *DIVIDED.splitlines()[2:]]
    assert "distribute_challenge/" not in "".join(texts)


def test_an_invalid_call_shows_one_traceback_at_the_callers_line(tmp_path: Path) -> None:
    """Lines of the user's code are shown, too, if that code raised."""
    setup = """
import threading
class Closed:
    def __reduce__(self):
        raise ValueError("closed")
lock = compute_this(lambda: threading.Lock())
closed = compute_this(Closed)
"""
    statements = {
        "divide()": "SignatureError: missing a required argument: 'a'",
        "divide.map([1], [2], [3])": "SignatureError: too many positional arguments",
        "list(divide.starmap([()]))": "SignatureError: missing a required argument: 'a'",
        "divide(threading.Lock()).compute()": "SerialisationError: argument 1 of divide cannot be pickled",
        "divide(threading.Lock()).submit()": "SerialisationError: argument 1 of divide cannot be pickled",
        "list(divide.map([1, threading.Lock()], [2, 3]))": "SerialisationError: argument 1 of divide cannot be pickled",
        "lock().compute()": "SerialisationError: the result of <lambda> cannot be pickled",
        "divide(1, 2).compute(backend='no')": "BackendError: no backend is called 'no'",
        "divide.with_options(timeout=-1)": "OptionError: timeout=-1",
        "compute_this(3)": "UnsupportedFunctionError: compute_this got 3",
        "compute_this(timeout=-1)": "OptionError: timeout=-1",
    }
    *texts, of_user, of_result = seen(
        [*statements, "divide(Closed()).compute()", "closed().compute()"], tmp_path, setup
    )
    for text, (statement, words) in zip(texts, statements.items(), strict=True):
        head, line, error, *notes = text.splitlines()
        assert (head, line) == (
            "Traceback (most recent call last):",
            '  File "<prompt>", line 1, in <module>',
        ), statement
        assert error.startswith(f"distribute_challenge.errors.{words}"), statement
        assert len(notes) <= 1, text
    for text in (of_user, of_result):
        cause, error = text.split(
            "\n\nThe above exception was the direct cause of the following exception:\n\n"
        )
        assert cause.splitlines()[1:] == [
            '  File "script.py", line 26, in __reduce__',
            '    raise ValueError("closed")',
            "ValueError: closed",
        ]
        assert len(error.splitlines()) == 3


def test_all_frames_are_there_if_asked_for(tmp_path: Path) -> None:
    """They are the frames of both ends."""
    text, argument = seen(
        ["divide(1).compute()", "divide(__import__('threading').Lock()).compute()"],
        tmp_path,
        DISTRIBUTE_CHALLENGE_FULL_TRACEBACKS="1",
    )
    assert "TypeError: cannot pickle" in argument
    assert "in compute\n" in text
    assert os.path.join("execution", "attempts.py") in text
    (text,) = seen(["divide(1).compute()"], tmp_path, DISTRIBUTE_CHALLENGE_FULL_TRACEBACKS="0")
    assert text == DIVIDED


def test_the_error_for_a_module_that_the_worker_lacks_names_the_module(tmp_path: Path) -> None:
    """It may be needed by an argument or by a function."""
    setup = """
import types
only_here = sys.modules["only_here"] = types.ModuleType("only_here")
exec("class Odd: pass", vars(only_here))
"""
    argument, function = seen(
        ["divide(only_here.Odd()).compute()", "compute_this(only_here.Odd)().compute()"],
        tmp_path,
        setup,
    )
    assert argument == expected("""
        Traceback (most recent call last):
          File "<prompt>", line 1, in <module>
        ModuleNotFoundError: No module named 'only_here'
        An argument of divide could not be loaded on the worker embedded@vm/7. What it imports must be installed there; with Docker Compose, name it in PACKAGES.
    """)  # noqa: E501 - as it is printed
    assert function.splitlines()[2:] == [
        "ModuleNotFoundError: No module named 'only_here'",
        argument.splitlines()[-1].replace("An argument of divide", "Odd"),
    ]


@pytest.mark.parametrize(
    ("backend", "place"),
    [
        ("local", None),
        ("threads", "in thread distribute_challenge_N"),
        ("processes", "in process 7"),
    ],
)
def test_tracebacks_on_the_other_engines_are_the_same_except_for_the_place(
    tmp_path: Path, backend: str, place: str | None
) -> None:
    """What ran in the caller's own thread needs no note of where it ran."""
    call, item = seen(
        ["divide(1).compute()", "list(parse.map(['1', 'x']))"],
        tmp_path,
        DISTRIBUTE_CHALLENGE_BACKEND=backend,
    )
    head = DIVIDED.splitlines()[:-1]
    assert call.splitlines() == [*head, f"in the call divide(1), {place}"] if place else head
    assert item.splitlines()[-1] == "item 1: parse('x')" + (f", {place}" if place else "")


def test_a_call_in_a_call_is_noted_once(tmp_path: Path) -> None:
    """The inner one ran where the outer one did. The traceback has the lines of both."""
    setup = """
@compute_this
def outer(number):
    return divide(number).compute()
"""
    (text,) = seen(["outer(1).compute()"], tmp_path, setup)
    assert text == expected("""
        Traceback (most recent call last):
          File "<prompt>", line 1, in <module>
          File "script.py", line 25, in outer
            return divide(number).compute()
          File "script.py", line 8, in divide
            a / b)
        ZeroDivisionError: division by zero
        in the call outer(1), on embedded@vm, process 7
    """)


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "CELERY_BROKER_URL",
        "DISTRIBUTE_CHALLENGE_BROKER_URL",
        "DISTRIBUTE_CHALLENGE_BACKEND",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "1")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def arrows(text: str) -> list[str]:
    """The lines that IPython points at."""
    return [
        re.sub(" +", " ", line) for line in plain(text).splitlines() if re.match(r"-+> \d", line)
    ]


def test_ipython_points_at_the_line_that_raised(tmp_path: Path) -> None:
    """It does so where an expression has several lines, too."""
    needed("IPython")
    script = tmp_path / "script.py"
    script.write_text(DIVIDE + "divide(1).compute()\n")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", str(script)],
        env=environment(DISTRIBUTE_CHALLENGE_WORKERS="1", IPYTHONDIR=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert arrows(done.stdout) == ["----> 9 divide(1).compute()", "----> 8 a / b)"], done.stdout
    assert str(Path(distribute_challenge.__file__).parent) not in done.stdout


def test_a_notebook_points_at_the_line_that_raised(own_cluster: None, tmp_path: Path) -> None:
    """It points into the cells of definition and call, also for ``await``, in a real kernel."""
    needed("ipykernel")
    client = needed("jupyter_client")
    manager, kernel = client.manager.start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        texts = []
        for cell in (DIVIDE, "f = divide(1).submit()\nf.result()", "await divide(1)", "f.result()"):
            reply = kernel.execute_interactive(cell, timeout=60, output_hook=lambda message: None)[
                "content"
            ]
            texts.append(plain("\n".join(reply.get("traceback", []))))
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel()
    assert list(map(arrows, texts)) == [
        [],
        ["----> 2 f.result()", "----> 8 a / b)"],
        ["----> 1 await divide(1)", "----> 8 a / b)"],
        ["----> 1 f.result()", "----> 8 a / b)"],
    ]
    assert all(
        text.splitlines()[-1].startswith("in the call divide(1), on embedded@")
        for text in texts[1:]
    )
    assert all(str(Path(distribute_challenge.__file__).parent) not in text for text in texts)


def test_many_threads_may_raise_the_same_exception() -> None:
    """No thread makes it longer for the others."""

    @compute_this
    def fail() -> None:
        raise LookupError("once")

    future = fail().submit("threads")
    found: list[int] = []

    def look() -> None:
        for _ in range(100):
            try:
                future.result(60)
            except LookupError as error:
                found.append(len(getattr(error, "__notes__", [])))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 800
    with pytest.raises(LookupError) as caught:
        future.result(60)
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 2


def raised(function: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        function()
    return caught.value


def test_an_internal_error_of_the_library_keeps_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users can report it. An error that the library raises on purpose has none."""
    call = compute_this(len)("text")
    with monkeypatch.context() as context:
        context.setattr(distributable, "single_task", None)
        frames = traceback.extract_tb(raised(lambda: call.compute("local")).__traceback__)
    assert [frame.name for frame in frames[-2:]] == ["compute", "_task"]

    def expected_error() -> None:
        compute_this(retries=-1)

    error = raised(expected_error)
    assert isinstance(error, OptionError)
    assert traceback.extract_tb(error.__traceback__)[-1].name == "expected_error"
    never_raised = OptionError("no traceback")
    fold(never_raised)
    assert never_raised.__traceback__ is None
